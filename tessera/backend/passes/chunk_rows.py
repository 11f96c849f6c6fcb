"""A wide product and what is made of it are computed for some rows at a time: no logits for a whole batch.

    before   logits = mm(x, w)                  [rows, vocabulary]
             loss   = sum(cross_entropy(logits, target))
             grad   = softmax(logits) - one_hot(target)
             dx, dw = mm(grad, w'), mm(x', grad)
    after    loss, dx, dw = in_chunks(region, [x, target, w])

The region is everything as wide as the product, found by what each operation does to rows and not by a pattern: label
smoothing, ignored targets, soft-capping, class weights, casts and metrics of the logits are in it. It is left alone
where something wide is used elsewhere, draws random numbers, or waits for a sum over all rows. Sums over the rows are
added chunk by chunk: promise close.

References:
    Wijmans et al., Cut your losses in large-vocabulary language models, 2024, arXiv:2411.09009.
"""

from __future__ import annotations

import itertools
import operator

from torch import fx

from tessera import torch_internals
from tessera.backend.rewrite import Pass
from tessera.backend.rows.chunked import IN_CHUNKS, compile_region
from tessera.backend.rows.region import Region, find_region, wide_products
from tessera.program import Program, parts_of

SMALLEST = 1 << 27  # bytes of a product that is worth it: to add up the weight's gradient takes time for every chunk
RATIO = 4  # how much wider than its input
CHUNK = 1 << 26  # bytes of it at a time


def chunk_rows(program: Program, smallest: int = 0, chunk: int = 0) -> int:
    """Compute what is made of each wide product in chunks; returns how many there were.

    Args:
        smallest: bytes of a product that is worth it; 0 stands for ``SMALLEST``.
        chunk: bytes of it at a time; 0 stands for ``CHUNK``.
    """
    matched = 0
    for product in wide_products(program.graph, smallest or SMALLEST, RATIO):
        order = {node: at for at, node in enumerate(program.graph.nodes)}
        if product not in order or (region := find_region(product, order)) is None:
            continue
        name, results = compile_region(region, _rows_at_a_time(product, chunk or CHUNK))
        _replace(program, region, name, results, order)
        program.graph.eliminate_dead_code()
        matched += 1
    return matched


def _rows_at_a_time(product: fx.Node, chunk: int) -> int:
    """Chunks are alike where half again as many are enough for that; else the last needs a graph of its own."""
    rows, bytes_ = product.meta["val"].shape[0], product.meta["val"].nbytes
    chunks = -(-bytes_ // chunk)
    alike = next((count for count in range(chunks, chunks + chunks // 2 + 1) if rows % count == 0), chunks)
    return -(-rows // alike)


def _replace(program: Program, region: Region, name: str, results: list[fx.Node], order: dict[fx.Node, int]) -> None:
    graph, operands = program.graph, [node for node, _ in region.operands]
    last = max(operands, key=order.__getitem__)
    with graph.inserting_after(program.placeholders[-1] if last.op == "placeholder" else last):
        call = at = graph.call_function(IN_CHUNKS, (name, operands))
    product = next(iter(region.placed))
    work = {node: torch_internals.work_of(node) for node in region.placed}
    call.meta = {
        **product.meta,
        "val": [n.meta["val"].new_empty(n.meta["val"].shape) for n in results],
        "made_of": parts_of(work),
        "flops": sum(map(torch_internals.product_flops, work)),
    }
    taken = []
    for position, result in enumerate(results):
        with graph.inserting_after(at):
            at = graph.call_function(operator.getitem, (call, position))
        at.meta = {**result.meta, "val": call.meta["val"][position]}
        result.replace_all_uses_with(at, delete_user_cb=lambda user: user not in region.placed)
        taken.append(at)
    _move_behind(taken)


def _move_behind(results: list[fx.Node]) -> None:
    """What uses the results and stood before them follows them, in the order it had."""
    late, anchor = set(results), results[-1]
    for node in itertools.takewhile(lambda n: n is not results[-1], list(anchor.graph.nodes)):
        if not late.isdisjoint(node.all_input_nodes):
            anchor.append(node)
            anchor = node
            late.add(node)


CHUNK_ROWS = Pass(
    "chunk_rows", "close", chunk_rows, "a product of 128 MiB or more that is computed row by row from there on"
)
