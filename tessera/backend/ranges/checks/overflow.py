"""Results too large or too small for the format they are kept in."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import fx

from tessera.backend.ranges.exponentials import cold, hot
from tessera.backend.ranges.finding import Kind
from tessera.backend.ranges.formats import format_of
from tessera.backend.ranges.hazard import Hazard, Subject, dtype_name, format_of_node, origin, span, word
from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import dtype_of
from tessera.backend.ranges.value_range import INF

_LARGE_FACTOR = 1e8  # times something of unknown size
_LONG_PRODUCT = 200  # probabilities
_EXP = {"exp", "exp2", "expm1", "sinh", "cosh", "special_exp2"}
# Whoever uses a large factor for these wants all of it: a mask, a step, a count.
_TAKES_LARGE = {
    *("add", "sub", "rsub", "clamp", "clamp_min", "clamp_max", "minimum", "maximum", "sigmoid", "tanh", "_softmax"),
    *("_log_softmax", "gt", "ge", "lt", "le", "eq", "ne", "where", "masked_fill", "round", "floor", "sin", "cos"),
    *("hardtanh", "log", "sqrt", "fmod", "remainder", "trunc", "erf", "atan", "div", "sign", "argmax", "argmin"),
    *("hardsigmoid", "logsumexp"),
}


def results_beyond_the_format(subject: Subject) -> Iterator[Hazard]:
    """Where a result is known not to fit."""
    for node, value in subject.found.overflows.items():
        form, name = format_of_node(node), dtype_name(node)
        if operation(node) in _EXP | {"pow"} and (operation(node) != "pow" or not isinstance(node.args[0], fx.Node)):
            yield _of_exp(subject, node)
            continue
        much = "more than a float can count" if math.isinf(value) else f"{value:.3g}"
        yield Hazard(
            node,
            Kind.OVERFLOW,
            f"This {word(node)} can reach {much}, and {name} ends at {form.largest:.3g}.",
            "What is larger becomes infinite, and NaN in the gradient or in the next difference.",
            "x.double()" if name == "float32" else "x.float()",
        )


def _of_exp(subject: Subject, node: fx.Node) -> Hazard:
    form = format_of_node(node)
    argument = node.args[0] if isinstance(node.args[0], fx.Node) else node.args[1]
    limit = form.largest_exponent
    if operation(node) == "pow":
        limit /= math.log(float(node.args[0])) if isinstance(node.args[0], (int, float)) else 1.0
    exponent = subject.found.of(argument)
    reached = exponent.reached[1] if exponent.reached is not None else exponent.size
    return Hazard(
        node,
        Kind.OVERFLOW,
        f"{word(node)} of values that can be larger than {limit:.3g} ({dtype_name(node)}):"
        f" they reach {reached:.3g} where inputs are of ordinary size.",
        "What is above becomes infinite, and NaN in the gradient or in the next difference.",
        "tessera.stable_exp(x)",
    )


def large_factors(subject: Subject) -> Iterator[Hazard]:
    """Something of unknown size times a number that leaves it little room, and grows further."""
    for node in subject.graph.nodes:
        if operation(node) != "mul" or node in subject.found.overflows or len(node.args) != 2:
            continue
        form = format_of(dtype_of(node))
        for value, factor in (node.args, node.args[::-1]):
            by, of = subject.found.question(node).range_of(factor), subject.found.of(value)
            if form is None or by.exact is None or not _LARGE_FACTOR <= abs(by.exact) < INF:
                continue
            if of.bounded or of.constant or not _grows(node):
                continue
            room = form.largest / abs(by.exact)
            yield Hazard(
                node,
                Kind.OVERFLOW,
                f"Values of unknown size are multiplied by {by.exact:.3g}:"
                f" the result reaches {form.largest:.2g} ({dtype_name(node)}) from |x| >= {room:.2g} on.",
                "What is computed from it overflows much earlier: exp from "
                f"|x| >= {form.largest_exponent / abs(by.exact):.2g} on.",
                "x * 1.0",
            )
            break


def _grows(node: fx.Node) -> bool:
    users = [operation(user) for user in node.users]
    return bool(users) and not any(user in _TAKES_LARGE for user in users)


def exponentials_undone(subject: Subject) -> Iterator[Hazard]:
    """Exponentials that overflow on the way to a result of moderate size."""
    for node in subject.graph.nodes:
        name = operation(node)
        if name in ("log", "log2", "log10") and node.args[0] in subject.sums:
            yield from _log(subject, node)
        elif name in ("div", "true_divide", "reciprocal"):
            yield from _quotient(subject, node)
        elif name == "exp":
            yield from _twice(subject, node)


def _log(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    part = subject.sums[node.args[0]]  # type: ignore[index]
    if any(operation(maker) == "sinh" for maker in part.makers):
        return
    stable = "torch.nn.functional.softplus(x)" if part.constant else "torch.logsumexp(x, dim=-1)"
    if any(operation(maker) == "cosh" for maker in part.makers):
        stable = "x.abs() + torch.nn.functional.softplus(-2 * x.abs()) - math.log(2)"
    makers = list(hot(part, subject.found))
    for maker in makers:
        yield _undone(maker, node, "log", stable)
    if not makers and cold(part, subject.found):
        yield Hazard(
            node,
            Kind.DOMAIN,
            f"log of exponentials that can all be zero: exp of less than {_smallest(part.makers[0])} is.",
            "log makes -inf of it, and NaN in the gradient.",
            stable if part.summed else "the exponent itself",
        )


def _smallest(maker: fx.Node) -> str:
    form = format_of(dtype_of(maker))
    return f"{form.smallest_exponent:.4g}" if form else "-104"


def _quotient(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    below = node.args[-1] if operation(node) != "reciprocal" else node.args[0]
    part = subject.sums.get(below) if isinstance(below, fx.Node) else None
    if part is None:
        return
    above = subject.sums.get(node.args[0]) if operation(node) != "reciprocal" else None  # type: ignore[arg-type]
    shared = above is not None and bool(above.exponents & part.exponents)
    if above is not None and (shared or part.summed or part.constant):
        stable = "torch.softmax(x, dim=-1)" if part.summed else "torch.sigmoid(x)"
        if len(part.makers) > 1 and not part.summed:
            stable = "torch.tanh(x)"
        makers = list(hot(part, subject.found))
        for maker in [*makers, *(hot(above, subject.found) if makers else ())]:
            yield _undone(maker, node, "a division", stable)
        if not makers and shared and part.summed and cold(part, subject.found):
            yield Hazard(
                node,
                Kind.DIVISION,
                "Exponentials are divided by their sum, and can all be zero:"
                f" exp of less than {_smallest(part.makers[0])} is.",
                "0 / 0 is NaN.",
                stable,
            )
    elif above is None and part.constant and not part.summed:
        for maker in hot(part, subject.found):
            yield _undone(maker, node, "a division", "torch.sigmoid(x)")


def _undone(maker: fx.Node, hurts: fx.Node, by: str, stable: str) -> Hazard:
    form = format_of_node(maker)
    return Hazard(
        maker,
        Kind.OVERFLOW,
        f"{word(maker)} overflows for values above {form.largest_exponent:.3g} ({dtype_name(maker)}),"
        f" and {by} brings the result back to moderate size.",
        "The result or its gradient is then inf or NaN, though the true one is not.",
        stable,
        hurts,
    )


def _twice(subject: Subject, node: fx.Node) -> Iterator[Hazard]:
    """Exp of something that grows as fast as exp, or as a square."""
    argument = node.args[0]
    part = subject.sums.get(argument)  # type: ignore[arg-type]
    of = subject.found.of(argument)
    if part is not None and of.low >= 0 and of.high == INF and any(hot(part, subject.found)):
        yield Hazard(
            node,
            Kind.OVERFLOW,
            f"exp of an exp: it overflows {dtype_name(node)} for inputs above 4.5.",
            "The result is infinite, and its gradient NaN.",
            "tessera.stable_exp(x)",
        )
        return
    source = origin(argument)
    if isinstance(source, fx.Node) and _is_square(subject, source) and of.low >= 0 and of.high == INF:
        yield Hazard(
            node,
            Kind.OVERFLOW,
            f"exp of a square: it overflows {dtype_name(node)} for inputs above 9.4, {span(of)} as the square is.",
            "The result is infinite, and its gradient NaN.",
            "torch.exp(-x**2)",
        )


def _is_square(subject: Subject, node: fx.Node) -> bool:
    name = operation(node)
    if name in ("sum", "mean"):
        inner = origin(node.args[0])
        return isinstance(inner, fx.Node) and _is_square(subject, inner)
    if name == "pow":
        return isinstance(node.args[1], (int, float)) and node.args[1] > 1
    return name == "square" or (name == "mul" and subject.found.identity.same(node.args[0], node.args[1]))


def results_that_vanish(subject: Subject) -> Iterator[Hazard]:
    """Where all that is computed becomes zero."""
    for node, value in subject.found.underflows.items():
        form = format_of_node(node)
        exponent = operation(node) in _EXP
        much = f"exp of at most {value:.4g}" if exponent else f"This {word(node)} is of the size of {value:.3g}"
        yield Hazard(
            node,
            Kind.UNDERFLOW,
            f"{much}, and the smallest number of {dtype_name(node)} is {form.smallest:.2g}.",
            "The result is zero, whatever the input.",
            "the logarithm of the result" if exponent else "x.double()",
        )
    for node in subject.graph.nodes:
        if operation(node) != "prod":
            continue
        question = subject.found.question(node)
        least, _ = question.count(question.dims(question.argument(1, "dim")))
        x, form = question.x, format_of_node(node)
        if least < _LONG_PRODUCT or not x.within(0, 1) or x.constant:
            continue
        if x.low <= 0 or least * math.log(x.low) < form.smallest_exponent:
            yield Hazard(
                node,
                Kind.UNDERFLOW,
                f"{least:.0f} values between 0 and 1 are multiplied: at 0.5 each that is"
                f" 1e{least * math.log10(0.5):.0f}, and {dtype_name(node)} ends at {form.smallest:.2g}.",
                "The product is zero, and its gradient too.",
                "x.log().sum()",
            )
