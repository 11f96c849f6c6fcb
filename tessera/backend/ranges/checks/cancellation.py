"""Differences in which little is left of what was known."""

from __future__ import annotations

from collections.abc import Iterator

from torch import fx

from tessera.backend.ranges.finding import Kind
from tessera.backend.ranges.formats import format_of
from tessera.backend.ranges.hazard import Hazard, Subject, dtype_name, origin
from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import dtype_of

_ADDS = {"add", "sub", "rsub"}
_LITTLE = 1e-3  # below it one and a number share less than two thirds of their digits


def differences(subject: Subject) -> Iterator[Hazard]:
    """All differences of known forms."""
    for node in subject.graph.nodes:
        name = operation(node)
        if name in ("sub", "add") and len(node.args) == 2 and isinstance(node.args[0], fx.Node):
            yield from _moments(subject, node)
            yield from _exp_minus_one(subject, node)
            yield from _there_and_back(subject, node)
            yield from _close_values(subject, node)
        elif name == "rsub":
            yield from _close_values(subject, node)
        elif name == "log":
            yield from _log_near_one(subject, node)


def _moments(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    """E[x^2] - E[x]^2."""
    if operation(node) != "sub":
        return
    squares, square = _mean(node.args[0]), _squared(subject, node.args[1])
    if squares is None or square is None:
        return
    inner, mean = _squared(subject, squares), _mean(square)
    if inner is None or mean is None or not subject.found.identity.same_content(inner, mean):
        return
    yield Hazard(
        node,
        Kind.CANCELLATION,
        "The square of a mean is subtracted from the mean of the squares.",
        "Where the mean is large against the deviation no digit is left, and the result can be negative.",
        "x.var(dim=-1, unbiased=False)",
    )


def _mean(node: object) -> fx.Node | None:
    """What is averaged, or summed and divided."""
    node = origin(node)
    if isinstance(node, fx.Node) and operation(node) in ("div", "mul"):
        node = origin(next((arg for arg in node.args if isinstance(arg, fx.Node)), None))
    if isinstance(node, fx.Node) and operation(node) in ("mean", "sum"):
        inner = node.args[0]
        return inner if isinstance(inner, fx.Node) else None
    return None


def _squared(subject: Subject, node: object) -> fx.Node | None:
    node = origin(node)
    if not isinstance(node, fx.Node):
        return None
    name = operation(node)
    is_square = (
        name == "square"
        or (name == "pow" and node.args[1] == 2)
        or (name == "mul" and subject.found.identity.same(node.args[0], node.args[1]))
    )
    return node.args[0] if is_square and isinstance(node.args[0], fx.Node) else None


def _exp_minus_one(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    first = node.args[0]
    other = subject.found.question(node).y.exact
    if operation(first) != "exp" or other != (1.0 if operation(node) == "sub" else -1.0):
        return
    exponent = subject.argument(first)  # type: ignore[arg-type]
    if exponent.low > _LITTLE or exponent.high < -_LITTLE:
        return
    # In a larger sum the digits that are lost were never there; an exp that is used elsewhere is wanted as it is.
    if len(first.users) > 1 or any(operation(user) in _ADDS for user in node.users):  # type: ignore[union-attr]
        return
    yield Hazard(
        node,
        Kind.CANCELLATION,
        "1 is subtracted from exp(x), which is near 1 for small x.",
        f"Of x = 1e-4 half of the digits of {dtype_name(node)} are lost, of x = 1e-8 all.",
        "torch.expm1(x)",
    )


def _there_and_back(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    """(x + c) - c with a large number c. 1.5 * 2**k is left alone: that is how one rounds on purpose."""
    inner = node.args[0]
    if operation(inner) not in ("add", "sub") or subject.found.of(inner).constant:
        return
    question, within = subject.found.question(node), subject.found.question(inner)  # type: ignore[arg-type]
    sign = 1.0 if operation(node) == "add" else -1.0
    sign_within = 1.0 if operation(inner) == "add" else -1.0
    back, there = question.y.exact, within.y.exact
    form = format_of(dtype_of(node))
    if back is None or there is None or form is None or sign * back != -sign_within * there:
        return
    if abs(there) * form.epsilon < _LITTLE * max(within.x.size, 1e-30) or (abs(there) / 1.5).hex().startswith(
        "0x1.0000000000000p"
    ):
        return
    yield Hazard(
        node,
        Kind.CANCELLATION,
        f"{abs(there):.3g} is added and subtracted again.",
        f"{dtype_name(node)} keeps steps of {abs(there) * form.epsilon:.2g} there, and what is smaller is lost.",
        "x",
    )


def _close_values(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    """A difference of two values that are known to be close: 1 - cos(x) for small x, sqrt(x + 1) - sqrt(x)."""
    question = subject.found.question(node)
    a, b = question.x, question.y
    form = format_of(dtype_of(node))
    if (
        form is None
        or a.reached is None
        or b.reached is None
        or operation(node) == "add"
        or (a.constant and b.constant)
    ):
        return
    left, right = origin(node.args[0]), origin(node.args[1])
    names = {operation(one) for one in (left, right) if isinstance(one, fx.Node)}
    if "cos" in names and a.low > 0.9 and b.low > 0.9 and max(a.high, b.high) <= 1.0:
        yield _close(node, "1 - cos(x) of small x", "2 * torch.sin(x / 2) ** 2")
    if names != {"sqrt"} or not isinstance(left, fx.Node) or not isinstance(right, fx.Node):
        return
    step = _step(subject, left.args[0], right.args[0])
    inner = subject.argument(right)
    if step is not None and inner.reached is not None and abs(step) < _LITTLE * inner.reached[1]:
        yield _close(node, "Roots of nearly the same values", "c / (torch.sqrt(x + c) + torch.sqrt(x))")


def _close(node: fx.Node, what: str, stable: str) -> Hazard:
    return Hazard(
        node,
        Kind.CANCELLATION,
        f"{what} are subtracted." if what.startswith("Roots") else f"This is {what}.",
        f"Most of the digits of {dtype_name(node)} are equal, and what is left of them is rounding.",
        stable,
    )


def _step(subject: Subject, a: object, b: object) -> float | None:
    """The number c where a is b + c."""
    for first, second, sign in ((a, b, 1.0), (b, a, -1.0)):
        if isinstance(first, fx.Node) and operation(first) in ("add", "sub"):
            by = subject.found.question(first).y.exact
            if by is not None and subject.found.identity.same(first.args[0], second):
                return sign * by
    return None


def _log_near_one(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    inner = node.args[0]
    if operation(inner) != "add" or len(inner.args) != 2:  # type: ignore[union-attr]
        return
    question = subject.found.question(inner)  # type: ignore[arg-type]
    one, other = (question.x, question.y) if question.x.exact == 1 else (question.y, question.x)
    if one.exact != 1 or other.constant or not other.within(-_LITTLE, _LITTLE):
        return
    yield Hazard(
        node,
        Kind.CANCELLATION,
        f"log of 1 + x with x at most {max(abs(other.low), abs(other.high)):.2g}.",
        f"1 + x keeps few of the digits of x in {dtype_name(node)}, or none.",
        "torch.log1p(x)",
    )
