"""Sums of exponentials, followed to where their size is undone.

``exp(x)`` alone is as large as it has to be. In ``exp(x) / exp(x).sum()``, ``log(1 + exp(x))`` or ``x / (1 + exp(-x))``
the result is of moderate size, the exponential in between is not, and another spelling never makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import fx

from tessera.backend.ranges.formats import format_of
from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.interpret import Interpretation
from tessera.backend.ranges.question import dtype_of
from tessera.backend.ranges.value_range import INF

_PASSES = {
    *("alias", "clone", "detach", "view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "expand", "permute"),
    *("transpose", "t", "select", "slice", "gather", "index", "diagonal", "cumsum", "repeat", "where", "masked_fill"),
    *("_to_copy", "clamp_min", "flatten", "getitem", "cat", "stack", "amax", "neg"),
}
_SUMS = {"sum", "mean", "cumsum"}


@dataclass(frozen=True)
class Exponentials:
    """A value that is a sum of exponentials (with factors that change nothing of their kind).

    Attributes:
        makers: the exp nodes.
        exponents: numbers for the contents of their arguments.
        constant: whether a number is added.
        summed: whether it is a sum over a dim.
        guarded: whether it is kept above a positive number.
    """

    makers: tuple[fx.Node, ...]
    exponents: frozenset[int]
    constant: bool = False
    summed: bool = False
    guarded: bool = False


def follow(graph: fx.Graph, found: Interpretation) -> dict[fx.Node, Exponentials]:
    """The nodes of ``graph`` that are sums of exponentials."""
    sums: dict[fx.Node, Exponentials] = {}
    for node in graph.nodes:
        made = _made(node, sums, found)
        if made is not None:
            sums[node] = made
    return sums


def _made(node: fx.Node, sums: dict[fx.Node, Exponentials], found: Interpretation) -> Exponentials | None:
    name, exponent = operation(node), exponent_of(node)
    if exponent is not None:
        return Exponentials((node,), frozenset((found.identity.content(exponent),)))
    parts = [sums[one] for one in node.all_input_nodes if one in sums]
    if not parts:
        return None
    if name in _PASSES | _SUMS:
        kept = replace(parts[0], guarded=parts[0].guarded or name == "clamp_min")
        return replace(kept, summed=True) if name in _SUMS else kept
    if name in ("add", "sub", "rsub"):
        return _added(node, parts, sums, found)
    if name in ("mul", "div") and len(parts) == 1:
        return parts[0] if _is_scaled(node, sums, found) else None
    return None


def _added(
    node: fx.Node, parts: list[Exponentials], sums: dict[fx.Node, Exponentials], found: Interpretation
) -> Exponentials | None:
    others = [one for one in node.args[:2] if one not in sums]
    if not all(_is_number(one, found) for one in others):
        return None
    return Exponentials(
        tuple(dict.fromkeys(maker for part in parts for maker in part.makers)),
        frozenset().union(*(part.exponents for part in parts)),
        constant=bool(others) or any(part.constant for part in parts),
        summed=any(part.summed for part in parts),
        guarded=any(part.guarded for part in parts),
    )


def _is_scaled(node: fx.Node, sums: dict[fx.Node, Exponentials], found: Interpretation) -> bool:
    left, right = node.args[:2]
    if operation(node) == "div":
        return right not in sums and _is_number(right, found)
    other = right if left in sums else left
    return _is_number(other, found) or found.of(other).within(0, 1)


def _is_number(value: object, found: Interpretation) -> bool:
    if isinstance(value, fx.Node):
        return found.of(value).constant and found.of(value).bounded
    return isinstance(value, (int, float))


def exponent_of(node: object) -> fx.Node | None:
    """What an exponential function is taken of; None of every other operation."""
    if not isinstance(node, fx.Node):
        return None
    position = {**dict.fromkeys(("exp", "exp2", "special_exp2", "cosh", "sinh"), 0), "pow": 1}.get(operation(node))
    if position is None or (position == 1 and isinstance(node.args[0], fx.Node)):
        return None
    exponent = node.args[position]
    return exponent if isinstance(exponent, fx.Node) else None


def hot(part: Exponentials, found: Interpretation) -> Iterator[fx.Node]:
    """The exp nodes of it whose arguments nothing keeps below where exp becomes infinite."""
    for maker in part.makers:
        form = format_of(dtype_of(maker))
        exponent = found.of(exponent_of(maker))
        even = operation(maker) in ("cosh", "sinh")
        if form is not None and max(exponent.high, -exponent.low if even else -INF) > form.largest_exponent:
            yield maker


def cold(part: Exponentials, found: Interpretation) -> bool:
    """Whether nothing keeps all of its exponentials from being zero at once."""
    return not (part.constant or part.guarded) and all(_vanishes(maker, part, found) for maker in part.makers)


def _vanishes(maker: fx.Node, part: Exponentials, found: Interpretation) -> bool:
    form = format_of(dtype_of(maker))
    exponent = found.of(exponent_of(maker))
    if form is None or exponent.low >= form.smallest_exponent or operation(maker) in ("cosh", "sinh"):
        return False
    return not (part.summed and exponent.rows.peak is not None)
