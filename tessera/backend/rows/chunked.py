"""The operator ``tessera::in_chunks``: a region computed for some rows at a time, by a graph compiled once.

Operands with rows are sliced, shared ones are passed whole; results with rows are written behind each other, sums are
added up, those of half precision in float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.graph_compiler import compile_graph
from tessera.backend.kernel_library import compiled_together
from tessera.backend.products import add_product
from tessera.backend.rows.region import Region
from tessera.backend.rows.rules import SHARED, SUMMED, TRANSPOSED

_HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Step:
    """A compiled graph, the strides of its operands, and the bounds of the chunks that it computes.

    ``products`` are the sums that matrix products are added to; behind its results the graph returns the two factors
    of each.
    """

    output: torch_internals.InductorOutput
    strides: list[tuple[int, ...]]
    bounds: list[tuple[int, int]]
    products: list[int]

    @cached_property
    def call(self) -> Callable[[list[Any]], Sequence[Any]]:
        return torch_internals.without_gradients(self.output.call)


@dataclass(frozen=True)
class Chunked:
    """A compiled region."""

    leads: list[int]
    rows: int
    with_rows: list[tuple[tuple[int, ...], torch.dtype]]
    sums: list[tuple[tuple[int, ...], torch.dtype]]
    steps: list[Step]

    def __call__(self, operands: Sequence[Tensor]) -> list[Tensor]:
        device = operands[0].device
        results = [torch.empty(shape, dtype=dtype, device=device) for shape, dtype in self.with_rows]
        sums = [torch.zeros(shape, dtype=_summed_in(dtype), device=device) for shape, dtype in self.sums]
        for step in self.steps:
            for start, end in step.bounds:
                inputs = [
                    _laid_out(_part(value, lead, start, end), stride)
                    for value, lead, stride in zip(operands, self.leads, step.strides, strict=False)
                ]
                others = [total for place, total in enumerate(sums) if place not in step.products]
                parts = step.call([*inputs, *others])
                for result, part in zip(results, parts, strict=False):
                    result.view(self.rows, *part.shape[1:])[start:end] = part
                factors = parts[len(results) :]
                for place, a, b in zip(step.products, factors[::2], factors[1::2], strict=True):
                    add_product(sums[place], a, b)
        return [*results, *(s.to(dtype) for s, (_, dtype) in zip(sums, self.sums, strict=True))]


CHUNKED: dict[str, Chunked] = {}
_INPUTS: dict[str, list[list[Any]]] = {}

_library = torch.library.Library("tessera", "FRAGMENT")
_library.define("in_chunks(str region, Tensor[] operands) -> Tensor[]")
_library.impl("in_chunks", lambda region, operands: CHUNKED[region](operands), "CompositeExplicitAutograd")


def _meta(region: str, operands: list[Tensor]) -> list[Tensor]:
    known = CHUNKED[region]
    return [operands[0].new_empty(shape, dtype=dtype) for shape, dtype in (*known.with_rows, *known.sums)]


_library.impl("in_chunks", _meta, "Meta")
IN_CHUNKS = torch.ops.tessera.in_chunks.default


def compile_region(region: Region, chunk: int) -> tuple[str, list[fx.Node]]:
    """Make ``in_chunks(name, operands)`` work, ``chunk`` rows at a time; returns its name and its results in order."""
    with_rows = [n for n in region.results if region.placed[n].lead != SUMMED]
    sums = [n for n in region.results if region.placed[n].lead == SUMMED]
    whole, rest = divmod(region.rows, chunk)
    sizes = {chunk: [(i * chunk, (i + 1) * chunk) for i in range(whole)]}
    if rest:
        sizes[rest] = [(whole * chunk, region.rows)]
    graphs = {count: _graph(region, count, with_rows, sums) for count in sizes}
    text = "\n".join(
        f"{graph.code} {[n.meta['val'] for n in graph.graph.find_nodes(op='placeholder')]}" for graph in graphs.values()
    )
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    if name not in CHUNKED:
        steps, inputs = [], []
        with compiled_together():
            for count, graph in graphs.items():
                products = _take_products_out(graph, len(sums))
                examples = [node.meta["val"] for node in graph.graph.find_nodes(op="placeholder")]
                output = compile_graph(graph, examples)[0]
                steps.append(Step(output, [tuple(e.stride()) for e in examples], sizes[count], products))
                inputs.append(examples)
        leads = [lead for _, lead in region.operands]
        CHUNKED[name] = Chunked(leads, region.rows, [_like(n) for n in with_rows], [_like(n) for n in sums], steps)
        _INPUTS[name] = inputs
    return name, [*with_rows, *sums]


def codes_of(name: str) -> list[tuple[str, list[Any]]]:
    """What Inductor wrote for a region compiled here: a wrapper for each size of chunk, and its fake inputs."""
    sources = (step.output.source for step in CHUNKED[name].steps)
    return [(source, inputs) for source, inputs in zip(sources, _INPUTS.get(name, ()), strict=False)]


def _graph(region: Region, count: int, with_rows: Sequence[fx.Node], sums: Sequence[fx.Node]) -> fx.GraphModule:
    """The region for ``count`` rows; the sums come in behind the operands and are written in place."""

    def step(*flat: Tensor) -> list[Tensor]:
        values = dict(zip(region.operands, flat, strict=False))
        totals = flat[len(region.operands) :]
        chunk = _Values(count, values)
        for node, placed in region.placed.items():
            values[node, placed.lead] = placed.compute(chunk)
        for node, total in zip(sums, totals, strict=True):
            total.copy_(total + values[node, SUMMED])
        return [values[n, region.placed[n].lead].contiguous() for n in with_rows]

    fake_mode = torch_internals.fake_mode_of([_value(n) for n in region.placed])
    with fake_mode:
        examples = [_part(_value(n), lead, 0, count) for n, lead in region.operands]
        examples += [
            torch.empty(_value(n).shape, dtype=_summed_in(_value(n).dtype), device=_value(n).device) for n in sums
        ]
    traced = torch_internals.trace(step, *examples, fake_mode=fake_mode)
    for node, example in zip(traced.graph.find_nodes(op="placeholder"), examples, strict=True):
        node.meta["val"] = example
    return traced


def _take_products_out(graph_module: fx.GraphModule, sums: int) -> list[int]:
    """Return the factors of each matrix product that is only added to a sum; returns which of the sums those are.

    A library adds the product to what is there. Inductor would make the whole product, and then add it.
    """
    graph = graph_module.graph
    found: list[int] = []
    factors: list[Any] = []
    total: fx.Node
    totals = graph.find_nodes(op="placeholder")[-sums:] if sums else []
    for place, total in enumerate(totals):
        write = next(user for user in total.users if user.target is torch.ops.aten.copy_.default)
        added: Any = write.args[1]
        if not isinstance(added, fx.Node) or added.target is not torch.ops.aten.add.Tensor or added.kwargs:
            continue
        product: Any = added.args[1]
        if not isinstance(product, fx.Node) or product.target is not torch.ops.aten.mm.default:
            continue
        if len(total.users) > 2 or len(added.users) > 1 or len(product.users) > 1 or added.args[0] is not total:
            continue
        found.append(place)
        factors += product.args
        for node in (write, added, product):
            graph.erase_node(node)
        graph.erase_node(total)
    if found:
        output = graph.output_node()
        output.args = ([*output.args[0], *factors],)  # type: ignore[misc]
        graph_module.recompile()
    return found


@dataclass(frozen=True)
class _Values:
    count: int
    values: dict[tuple[fx.Node, int], Tensor]

    def __call__(self, node: fx.Node, lead: int) -> Tensor:
        return self.values[node, lead]


def _part(value: Tensor, lead: int, start: int, end: int) -> Tensor:
    """The rows from ``start`` to ``end`` of an operand, in one dimension."""
    if lead == SHARED:
        return value
    return value[:, start:end] if lead == TRANSPOSED else value.flatten(0, lead - 1)[start:end]


def _laid_out(value: Tensor, stride: tuple[int, ...]) -> Tensor:
    """Inductor chooses the strides of what it computes; a compiled graph has those that it was compiled for."""
    if value.stride() == stride:
        return value
    return torch.empty_strided(value.shape, stride, dtype=value.dtype, device=value.device).copy_(value)


def _summed_in(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in _HALF else dtype


def _like(node: fx.Node) -> tuple[tuple[int, ...], torch.dtype]:
    return tuple(_value(node).shape), _value(node).dtype


def _value(node: fx.Node) -> Any:
    return node.meta["val"]
