"""One walk over a graph, in order: what every node can compute, rounded to the format that it is kept in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.ranges.formats import Format, format_of
from tessera.backend.ranges.identity import Identity, operation, writes
from tessera.backend.ranges.question import Answer, Question, dtype_of
from tessera.backend.ranges.rules.table import RULES
from tessera.backend.ranges.rules.views import VIEWS
from tessera.backend.ranges.value_range import INF, TOP, Range, between, union

# What is computed within them is not kept in the format of the result.
_KEPT_OVERFLOW = {"masked_fill", "where", "full", "full_like", "scalar_tensor", "fill", "new_full", "getitem"}


@dataclass
class Interpretation:
    """What is known of a graph's values.

    Attributes:
        known: of each node.
        identity: which nodes hold the same values.
        overflows, underflows: nodes whose results are known not to fit into their format, with the value that does
            not, before it was rounded.
    """

    known: dict[fx.Node, Answer] = field(default_factory=dict)
    identity: Identity = field(default_factory=Identity)
    overflows: dict[fx.Node, float] = field(default_factory=dict)
    underflows: dict[fx.Node, float] = field(default_factory=dict)

    def of(self, value: Any) -> Range:
        found = self.known.get(value, TOP) if isinstance(value, fx.Node) else TOP
        return found if isinstance(found, Range) else TOP

    def question(self, node: fx.Node) -> Question:
        return Question(node, self.known, self.identity)


def interpret(graph: fx.Graph, given: Mapping[fx.Node, Range], attribute: Callable[[str], Any]) -> Interpretation:
    """What every node of ``graph`` can compute.

    Args:
        graph: functional ATen operations, each with its fake result in ``meta["val"]``.
        given: what is known of placeholders.
        attribute: the tensor that a ``get_attr`` node reads.
    """
    found = Interpretation()
    bits = itertools.count()
    for node in graph.nodes:
        found.identity.add(node)
        if node.op == "placeholder":
            at_hand = given.get(node) or unknown(dtype_of(node))
            found.known[node] = at_hand.changed(sources=1 << next(bits))
        elif node.op == "get_attr":
            found.known[node] = constant_range(attribute(str(node.target)))
        elif node.op == "call_function":
            found.known[node] = _computed(found, node, bits)
            if writes(node) is not None:
                _write(found, node)
    return found


def _write(found: Interpretation, node: fx.Node) -> None:
    """What is written in place stands where it was written to, and beside the rest in what that is a view of."""
    written, value = writes(node), found.of(node)
    if written is not None:
        found.known[written] = value
    while isinstance(written, fx.Node) and operation(written) in VIEWS and isinstance(written.args[0], fx.Node):
        written = written.args[0]
        found.known[written] = union([found.of(written).plain(), value.plain()])


def unknown(dtype: torch.dtype | None) -> Range:
    """Of a tensor that is passed in and about which nothing was said."""
    if dtype is torch.bool:
        return Range(0.0, 1.0, (0.0, 1.0), 1.0, data=True, integer=True)
    whole = dtype is not None and not (dtype.is_floating_point or dtype.is_complex)
    return Range(data=True, integer=whole)


def constant_range(value: Any) -> Range:
    """Of a tensor that is at hand; of a parameter nothing, since it is trained."""
    if isinstance(value, torch.nn.Parameter):
        return Range(parameter=True)
    if not isinstance(value, torch.Tensor) or value.is_meta or value.is_complex() or not value.numel():
        return TOP
    if torch_internals.fake_mode_of([value]) is not None:
        return TOP
    with torch_internals.outside_captures():
        plain = value.detach()
        low, high = float(plain.min()), float(plain.max())
    return TOP if math.isnan(low + high) and math.isnan(low) else between(low, high)


def _computed(found: Interpretation, node: fx.Node, bits: Any) -> Answer:
    rule = RULES.get(operation(node))
    question = found.question(node)
    try:
        answer = TOP if rule is None else rule(question)
    except Exception:  # an argument that no rule foresaw: nothing is known of the result
        answer = TOP
    inputs = [found.known[one] for one in node.all_input_nodes if one in found.known]
    flat = [one for answer in inputs for one in (answer if isinstance(answer, tuple) else (answer,))]
    sources = 0
    for one in flat:
        sources |= one.sources
    if torch_internals.is_operator(node.target) and torch_internals.is_random(node.target):
        sources |= 1 << next(bits)
    data, parameter = any(one.data for one in flat), any(one.parameter for one in flat)
    said = (node.meta.get("custom") or {}).get("tessera_range")
    if said is not None:
        answer = between(float(said[0]), float(said[1]))

    def settle(one: Range, dtype: torch.dtype | None) -> Range:
        settled = one.changed(sources=sources, data=data, parameter=parameter)
        return _rounded(found, node, settled, dtype)

    if isinstance(answer, tuple):
        values = node.meta.get("val")
        dtypes = [getattr(v, "dtype", None) for v in values] if isinstance(values, (tuple, list)) else []
        return tuple(settle(one, dtype) for one, dtype in itertools.zip_longest(answer, dtypes[: len(answer)]))
    return settle(answer, dtype_of(node))


def _rounded(found: Interpretation, node: fx.Node, value: Range, dtype: torch.dtype | None) -> Range:
    form = format_of(dtype)
    if form is None:
        if dtype is torch.bool:
            return value.changed(low=max(value.low, 0.0), high=min(value.high, 1.0), integer=True)
        whole = dtype is not None and not (dtype.is_floating_point or dtype.is_complex)
        return value.changed(integer=True) if whole else value
    if operation(node) not in _KEPT_OVERFLOW and _finite_arguments(found, node):
        beyond = _beyond(value, form)
        if beyond is not None:
            found.overflows[node] = beyond
            return Range(
                max(value.low, -INF), INF, None, 1.0, value.data, value.parameter, value.sources, rows=value.rows
            )
        if (lost := _lost(found, node, value, form)) is not None:
            found.underflows[node] = lost
    low, high = form.round(value.low), form.round(value.high)
    # A bound beyond the format is one that nothing is known of, and the other side of it stays.
    reached = None if value.reached is None else (form.round(value.reached[0]), form.round(value.reached[1]))
    return value.changed(low=low, high=high, reached=reached)


def _finite_arguments(found: Interpretation, node: fx.Node) -> bool:
    """Whether no argument is an infinite constant, which is there on purpose."""
    numbers = [one for one in node.args if isinstance(one, float)]
    known = [found.of(one) for one in node.all_input_nodes]
    ends = [end for one in known if one.reached is not None for end in one.reached]
    return all(map(math.isfinite, [*numbers, *ends]))


def _beyond(value: Range, form: Format) -> float | None:
    """A value that is known to be taken and is too large for the format."""
    ends: list[float] = [*(value.reached or ()), value.size]
    over = [end for end in ends if math.isinf(form.round(end))]
    return max(over, key=abs) if over else None


def _lost(found: Interpretation, node: fx.Node, value: Range, form: Format) -> float | None:
    """A value other than zero that is known to be taken, where all become zero."""
    name = operation(node)
    if name not in ("mul", "div", "pow", "exp", "exp2", "square"):
        return None
    if name in ("exp", "exp2"):
        exponent = found.question(node).x
        rate = 1.0 if name == "exp" else math.log(2)
        return rate * exponent.high if rate * exponent.high < form.smallest_exponent else None
    if value.bounded:
        largest = max(abs(value.low), abs(value.high))
        return largest if largest and form.round(largest) == 0 else None
    return value.size if value.size and form.round(value.size) == 0 else None
