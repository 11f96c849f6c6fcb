"""What each operation is on a chunk of rows: which of its operands have the rows, and how it is called on a chunk.

A tensor's rows are its leading dimensions, flattened: ``[4, 6, 50]`` has 24 rows of 50, or 4 of ``[6, 50]``. A chunk
of ``c`` of them is ``[c, 50]``. An operation belongs here when a row of its result needs only the same row of its
operands, or when it sums over all rows. Whatever has no rule, or draws random numbers, is not chunked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, fx

aten, prims = torch.ops.aten, torch.ops.prims

SHARED = 0  # no rows: the same for every chunk
TRANSPOSED = -1  # a matrix whose second dimension is the rows
SUMMED = -2  # one value for all rows: the chunks' results are added up


class Chunk(Protocol):
    """The chunk being computed."""

    @property
    def count(self) -> int:
        """How many rows it has."""

    def __call__(self, node: fx.Node, lead: int) -> Tensor:
        """What ``node`` is in this chunk: its rows, flattened to one dimension, or all of it where it is shared."""


@dataclass(frozen=True)
class Placed:
    """An operation on a chunk.

    Attributes:
        lead: how many leading dimensions of its result are the rows, or `TRANSPOSED`, or `SUMMED`.
        operands: its operands, each with its own lead.
        compute: its result for a chunk.
    """

    lead: int
    operands: tuple[tuple[fx.Node, int], ...]
    compute: Callable[[Chunk], Tensor]


@dataclass(frozen=True)
class Question:
    """How is ``node`` computed in chunks of ``rows`` rows?

    Attributes:
        lead_of: the lead of a node that is chunked already, None for others.
        wanted: the lead that a consumer asks for, where no operand is chunked yet.
    """

    node: fx.Node
    rows: int
    lead_of: Callable[[fx.Node], int | None]
    wanted: int | None = None

    @property
    def shape(self) -> Sequence[int]:
        return _shape(self.node)

    @property
    def args(self) -> tuple[Any, ...]:
        return self.node.args

    @property
    def lead(self) -> int | None:
        """The lead of the result when it has the same leading dimensions as its operands."""
        if self.wanted is not None:
            return self.wanted
        found = {self.lead_of(n) for n in self.node.all_input_nodes} - {None}
        return found.pop() if len(found) == 1 else None

    def rows_in(self, shape: Sequence[int]) -> int | None:
        """How many leading dimensions make the rows."""
        return next((k for k in range(1, len(shape) + 1) if math.prod(shape[:k]) == self.rows), None)


def place(question: Question) -> Placed | None:
    """How the operation is computed in chunks; None when it is not."""
    target = question.node.target
    if question.node.op != "call_function" or not isinstance(question.node.meta.get("val"), Tensor):
        return None
    tags = getattr(target, "tags", ())
    if torch.Tag.nondeterministic_seeded in tags:
        return None
    rule = _RULES.get(target)
    if rule is None and torch.Tag.pointwise in tags:
        rule = _pointwise
    return rule(question) if rule else None


def first_product(node: fx.Node) -> Placed:
    """``mm`` or ``addmm`` of an input with rows and a shared weight: where a region begins."""
    args: tuple[Any, ...] = node.args
    *bias, a, b = args
    operands = [(n, SHARED if _dim(n) == 1 else 1) for n in bias]
    return _called(node, 1, [*operands, (a, 1), (b, SHARED)])


def _called(node: fx.Node, lead: int, operands: Sequence[tuple[Any, int]], **replaced: Any) -> Placed:
    """The same operation on a chunk's operands, with other arguments at the positions ``at<number>``."""
    leads = dict(operands)

    def compute(chunk: Chunk) -> Tensor:
        given = tuple(replaced.get(f"at{i}", value) for i, value in enumerate(node.args))
        args, kwargs = fx.node.map_arg((given, node.kwargs), lambda n: chunk(n, leads[n]))
        return node.target(*args, **kwargs)  # type: ignore[operator]

    return Placed(lead, tuple(leads.items()), compute)


def _pointwise(question: Question) -> Placed | None:
    node, lead, shape = question.node, question.lead, question.shape
    if lead is None or lead < 1:
        return None
    inner = len(shape) - lead
    operands: dict[fx.Node, int] = {}
    for operand in node.all_input_nodes:
        if not isinstance(operand.meta.get("val"), Tensor):
            return None
        its, chunked = _shape(operand), question.lead_of(operand)
        if len(its) == len(shape) and its[:lead] == shape[:lead] and chunked in (None, lead):
            operands[operand] = lead
        elif chunked is None and all(size == 1 for size in its[: max(len(its) - inner, 0)]):
            operands[operand] = SHARED
        else:
            return None

    def compute(chunk: Chunk) -> Tensor:
        def value(operand: fx.Node) -> Tensor:
            found = chunk(operand, operands[operand])
            surplus = found.dim() - inner if operands[operand] == SHARED else 0
            # One of its leading ones stays: a tensor without dimensions counts for less when dtypes are promoted.
            return found.reshape(found.shape[surplus - 1 :]) if surplus > 1 else found

        args, kwargs = fx.node.map_arg((node.args, node.kwargs), value)
        return node.target(*args, **kwargs)  # type: ignore[operator]

    return Placed(lead, tuple(operands.items()), compute)


def _view(question: Question) -> Placed | None:
    """The rows stay whole: they are split into other leading dimensions, or their insides are."""
    (source,) = question.node.all_input_nodes
    chunked = question.lead_of(source)
    lead_in = chunked if chunked is not None else question.rows_in(_shape(source))
    lead = question.wanted or question.rows_in(question.shape)
    if lead is None or lead_in is None or lead_in < 1:
        return None
    inner = question.shape[lead:]
    return Placed(lead, ((source, lead_in),), lambda chunk: chunk(source, lead_in).reshape(chunk.count, *inner))


def _expand(question: Question) -> Placed | None:
    source, lead, shape = question.args[0], question.lead, question.shape
    if not isinstance(source, fx.Node) or lead is None or lead < 1 or len(question.node.all_input_nodes) > 1:
        return None
    inner = shape[lead:]
    if _dim(source) == len(shape) and _shape(source)[:lead] == shape[:lead]:
        return Placed(lead, ((source, lead),), lambda chunk: chunk(source, lead).expand(-1, *inner))
    if question.lead_of(source) is None and _dim(source) <= len(inner):
        return Placed(lead, ((source, SHARED),), lambda chunk: chunk(source, SHARED).expand(chunk.count, *inner))
    return None


def _full(question: Question) -> Placed | None:
    node, lead = question.node, question.wanted
    if lead is None or node.all_input_nodes:
        return None
    inner, value = question.shape[lead:], question.args[1]
    return Placed(lead, (), lambda chunk: aten.full.default([chunk.count, *inner], value, **node.kwargs))


def _along_inner(question: Question) -> Placed | None:
    """An operation along one inner dimension of tensors that all have the rows: ``gather(x, dim, index)``."""
    node, lead, args = question.node, question.lead, question.args
    if lead is None or lead < 1 or len(args) < 2 or not isinstance(args[1], int):
        return None
    shape = _shape(node.all_input_nodes[0])
    dim = args[1] % len(shape)
    aligned = all(_dim(n) == len(shape) and _shape(n)[:lead] == shape[:lead] for n in node.all_input_nodes)
    if dim < lead or not aligned or not all(question.lead_of(n) in (None, lead) for n in node.all_input_nodes):
        return None
    return _called(node, lead, [(n, lead) for n in node.all_input_nodes], at1=dim - lead + 1)


def _reduction(question: Question) -> Placed | None:
    """Over inner dimensions each row has a result of its own; a sum or mean over all rows is added up."""
    node, args = question.node, question.args
    (source,) = node.all_input_nodes
    lead = question.lead_of(source) if question.wanted is None else question.wanted
    shape = _shape(source)
    if lead is None or lead < 1:
        return None
    given = args[1] if len(args) > 1 else None
    dims = {given % len(shape)} if isinstance(given, int) else {d % len(shape) for d in given or range(len(shape))}
    if all(d >= lead for d in dims):
        inner = [d - lead + 1 for d in sorted(dims)]
        return _called(node, lead, [(source, lead)], at1=inner[0] if isinstance(given, int) else inner)
    if node.target not in _SUMS or not dims.issuperset(range(lead)) or question.wanted is not None:
        return None
    over = [0, *(d - lead + 1 for d in sorted(dims) if d >= lead)]
    options = {"dtype": node.meta["val"].dtype}
    count = math.prod(shape[d] for d in dims) if node.target in _MEANS else 1

    def compute(chunk: Chunk) -> Tensor:
        total = aten.sum.dim_IntList(chunk(source, lead), over, False, **options).reshape(question.shape)
        return total / count if count > 1 else total

    return Placed(SUMMED, ((source, lead),), compute)


def _permute(question: Question) -> Placed | None:
    node = question.node
    (source,), order = node.all_input_nodes, question.args[1]
    lead = question.lead_of(source) if question.wanted is None else None
    if lead == TRANSPOSED or (lead == 1 and order == [1, 0]):
        return Placed(-lead, ((source, lead),), lambda chunk: chunk(source, lead).t())
    if lead is None or lead < 1 or order[:lead] != list(range(lead)):
        return None
    return _called(node, lead, [(source, lead)], at1=[0, *(d - lead + 1 for d in order[lead:])])


def _product(question: Question) -> Placed | None:
    """Rows times a shared matrix have rows; a product over the rows is added up."""
    node, lead_of = question.node, question.lead_of
    *bias, a, b = question.args
    if node.kwargs or question.wanted is not None or a is b:
        return None
    if lead_of(a) == 1 and lead_of(b) is None and all(_dim(n) == 1 and lead_of(n) is None for n in bias):
        return _called(node, 1, [*((n, SHARED) for n in bias), (a, 1), (b, SHARED)])
    if not bias and lead_of(a) in (None, TRANSPOSED) and lead_of(b) in (None, 1) and _shape(b)[0] == question.rows:
        return _called(node, SUMMED, [(a, TRANSPOSED), (b, 1)])
    return None


def _shape(node: Any) -> Sequence[int]:
    return tuple(node.meta["val"].shape)


def _dim(node: Any) -> int:
    return len(_shape(node))


_MEANS = {aten.mean.default, aten.mean.dim}
_SUMS = {aten.sum.default, aten.sum.dim_IntList} | _MEANS
_RULES: dict[Any, Callable[[Question], Placed | None]] = {
    aten.mm.default: _product,
    aten.addmm.default: _product,
    aten.permute.default: _permute,
    aten.full.default: _full,
    aten.expand.default: _expand,
    prims.convert_element_type.default: _pointwise,
}
_RULES |= dict.fromkeys([aten.alias.default, aten.clone.default, aten.where.self], _pointwise)
_RULES |= dict.fromkeys(
    [
        aten.view.default,
        aten.reshape.default,
        aten._unsafe_view.default,
        aten.unsqueeze.default,
        aten.squeeze.default,
        aten.squeeze.dim,
        aten.squeeze.dims,
    ],
    _view,
)
_RULES |= dict.fromkeys(
    [
        *_SUMS,
        aten.amax.default,
        aten.amin.default,
        aten.argmax.default,
        aten.argmin.default,
        aten.any.dim,
        aten.all.dim,
        aten.logsumexp.default,
    ],
    _reduction,
)
_RULES |= dict.fromkeys(
    [
        aten.gather.default,
        aten.scatter.value,
        aten.scatter.src,
        aten.scatter_add.default,
        aten.select.int,
        aten.slice.Tensor,
        aten.cumsum.default,
    ],
    _along_inner,
)
