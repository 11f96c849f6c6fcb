"""Divisors that can be zero, and arguments outside of what log, sqrt and their like are defined for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import fx

from tessera.backend.ranges.finding import Kind
from tessera.backend.ranges.hazard import Hazard, Subject, origin, span, word
from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.value_range import INF, Range

_DETERMINANTS = {"det", "linalg_det", "_linalg_det"}
_LOGS = {"log": 0.0, "log2": 0.0, "log10": 0.0, "log1p": -1.0}


def divisors(subject: Subject) -> Iterator[Hazard]:
    """X / y, 1 / y, y ** -1 and rsqrt(y) where y can be zero."""
    for node in subject.graph.nodes:
        below = _divisor(node)
        if below is None:
            continue
        value = subject.found.of(below)
        if value.reaches_zero and node.kwargs.get("rounding_mode") is None:
            yield Hazard(
                node,
                Kind.DIVISION,
                f"The divisor is a {word(origin(below))}, {span(value)}: zero is {_how(value)}.",
                "x / 0 is infinite, 0 / 0 is NaN, and so is the gradient.",
                _divisor_fix(below),
            )


def _divisor(node: fx.Node) -> fx.Node | None:
    name = operation(node)
    below: object = None
    if name in ("div", "true_divide") and len(node.args) > 1:
        below = node.args[1]
    elif name in ("reciprocal", "rsqrt") or (
        name == "pow" and isinstance(node.args[1], (int, float)) and node.args[1] < 0
    ):
        below = node.args[0]
    elif name == "addcdiv":
        below = node.args[2]
    return below if isinstance(below, fx.Node) else None


def _how(value: Range) -> str:
    if value.signed:
        return "passed where its sign changes"
    return "among them" if value.reached is not None and value.reached[0] == 0 else "what they are rounded to"


def _divisor_fix(below: fx.Node) -> str:
    source = origin(below)
    name = operation(source) if isinstance(source, fx.Node) else ""
    fixes = {
        "linalg_vector_norm": "torch.nn.functional.normalize(x, dim=-1)",
        "std": "x / (x.std() + 1e-6)",
        "var": "x * torch.rsqrt(x.var() + 1e-6)",
        "sqrt": "torch.sqrt(y + 1e-6)",
        "sum": "x / y.clamp(min=1)" if _counts(source) else "x / (y + 1e-6)",
        "bincount": "x / y.clamp(min=1)",
    }
    return fixes.get(name, "x / y.clamp(min=1e-6)")


def _counts(node: object) -> bool:
    inner = origin(node.args[0]) if isinstance(node, fx.Node) and node.args else None
    return operation(inner) in ("gt", "ge", "lt", "le", "eq", "ne", "") if isinstance(inner, fx.Node) else False


def domains(subject: Subject) -> Iterator[Hazard]:
    """log, sqrt, asin, ... of what can lie outside of where they are defined."""
    for node in subject.graph.nodes:
        name = operation(node)
        if name in _LOGS:
            yield from _log(subject, node, _LOGS[name])
        elif name == "sqrt" or (name == "pow" and _fraction(node)) or name == "rsqrt":
            yield from _root(subject, node)
        elif name in ("asin", "acos", "atanh", "logit", "acosh"):
            yield from _inverse(subject, node)
        elif name == "mul":
            yield from _zero_times_infinity(subject, node)


def _log(subject: Subject, node: fx.Node, edge: float) -> Iterator[Hazard]:
    if node.args[0] in subject.sums and not subject.argument(node).constant:
        part = subject.sums[node.args[0]]  # type: ignore[index]
        if not part.guarded or subject.argument(node).low > edge:
            return  # exponentials have a check of their own
    value = subject.argument(node)
    if operation(origin(node.args[0])) in _DETERMINANTS:
        yield Hazard(
            node,
            Kind.DOMAIN,
            "log of a determinant, which grows and falls with the power of its size.",
            "It becomes 0 or infinite where its logarithm is moderate, and is negative for half of all matrices.",
            "torch.linalg.slogdet(x).logabsdet",
        )
        return
    if value.reached is None or value.reached[0] > edge or value.low > edge:
        return
    below = value.reached[0] < edge
    what = f"{word(node)} of a {word(origin(node.args[0]))}, {span(value)}"
    yield Hazard(
        node,
        Kind.DOMAIN,
        f"{what}: {'less than ' if below else ''}{edge:.3g} is reached.",
        "The result is NaN there, and its gradient too."
        if below
        else "The result is -inf there, and its gradient NaN.",
        _log_fix(node),
    )


def _log_fix(node: fx.Node) -> str:
    source = origin(node.args[0])
    name = operation(source) if isinstance(source, fx.Node) else ""
    if name == "_softmax":
        return "torch.log_softmax(x, dim=-1)"
    if name == "sigmoid":
        return "torch.nn.functional.logsigmoid(x)"
    if name in ("sub", "rsub", "neg") and isinstance(source, fx.Node):
        inner = [origin(one) for one in source.args if isinstance(one, fx.Node)]
        if any(isinstance(one, fx.Node) and operation(one) == "sigmoid" for one in inner):
            return "torch.nn.functional.logsigmoid(-x)"
    if name == "prod":
        return "x.log().sum()"
    return "torch.log(x.clamp(min=1e-6))"


def _fraction(node: fx.Node) -> bool:
    power = node.args[1]
    return isinstance(power, float) and not power.is_integer()


def _root(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    value = subject.argument(node)
    cancels = _expanded_square(subject, node.args[0])
    if (value.reached is None or value.reached[0] >= 0) and not cancels:
        return
    what = f"the {word(node)} of a {word(origin(node.args[0]))}, {span(value)}"
    yield Hazard(
        node,
        Kind.DOMAIN,
        f"This is {what}: {'what is left of the difference can be' if cancels else 'it is known to be'} less than 0.",
        "The result is NaN there, and its gradient too.",
        "x.clamp(min=1e-12).sqrt()",
    )


def _expanded_square(subject: Subject, node: object) -> bool:
    """Whether this is |a|^2 + |b|^2 - 2ab, which rounding makes negative where a is near b."""
    squares, products, todo = 0, 0, [(node, 1.0)]
    for _ in range(12):
        if not todo:
            break
        one, sign = todo.pop()
        one = origin(one)
        if not isinstance(one, fx.Node):
            continue
        name = operation(one)
        if name in ("add", "sub"):
            todo += [(one.args[0], sign), (one.args[1], sign if name == "add" else -sign)]
        elif name in ("mul", "neg"):
            factors = [subject.found.question(one).range_of(arg).exact for arg in one.args]
            factor = -1.0 if name == "neg" else next((f for f in factors if f is not None), None)
            inner = next((arg for arg in one.args if isinstance(arg, fx.Node)), None)
            if factor is not None and inner is not None:
                todo.append((inner, sign * factor))
        elif name in ("mm", "bmm", "addmm", "baddbmm") and sign < 0:
            products += 1
        elif name in ("sum", "linalg_vector_norm") and subject.found.of(one).low >= 0 and sign > 0:
            squares += 1
    return products > 0 and squares > 0


def _inverse(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    value, name = subject.argument(node), operation(node)
    low, high = {"logit": (0.0, 1.0), "acosh": (1.0, INF)}.get(name, (-1.0, 1.0))
    if value.reached is None or (name == "logit" and subject.found.question(node).argument(1, "eps") is not None):
        return
    open_ends = name in ("atanh", "logit")
    outside = value.reached[0] < low or value.reached[1] > high
    at_the_end = open_ends and (value.reached[0] <= low or value.reached[1] >= high)
    if not (outside or at_the_end):
        return
    far = max(abs(value.low), abs(value.high)) if value.bounded else math.inf
    yield Hazard(
        node,
        Kind.DOMAIN,
        f"{name} of a {word(origin(node.args[0]))} that reaches {'beyond ' if outside else ''}"
        f"{'the ends' if math.isinf(high) is False else 'below the end'} of {low:.3g} to {high:.3g}"
        f"{f': it comes to {far:.9g}' if 1 < far < 1.01 else ''}.",
        "The result is NaN there." if outside else "The result is infinite there, and its gradient NaN.",
        f"{name if name != 'logit' else 'torch.logit'}(x.clamp({low + 1e-6:.7g}, {min(high, 1e30) - 1e-6:.7g}))",
    )


def _zero_times_infinity(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    question = subject.found.question(node)
    for a, b in ((0, 1), (1, 0)):
        infinite, other = question.range(a), question.range(b)
        if infinite.exact is not None and math.isinf(infinite.exact) and other.low <= 0 <= other.high:
            yield Hazard(
                node,
                Kind.DOMAIN,
                f"A {word(origin(node.args[b]))}, {span(other)}, is multiplied by {infinite.exact}.",
                "Zero times infinity is NaN.",
                "x.masked_fill(mask, float('-inf'))",
            )
            return
