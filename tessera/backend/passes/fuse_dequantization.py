"""A few rows times a weight that is kept as small integers: the weight is dequantized where it is multiplied.

    before   w = codes * scale; y = mm(x, w.T)      x: [M, K], w: [N, K] in floats, written to memory and read again
    after    y = sum(x[:, None, :] * w, dim=-1)     one loop that reads the codes

``x`` is computed before it: inlined, a GELU would be computed anew for every row of the weight. Halves of a weight that
are as wide as each other are added up in one sum.

Reading the weight is what such a product costs, so a quarter of the bytes takes less time (measured; a library's
product of many rows does more with each number that it reads, and stays). Sums are made in float32 in another order
than the library's: promise close.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.replace_call import replace_call
from tessera.backend.rewrite import Pass
from tessera.program import Program

MOST_ROWS = 4  # the weight is dequantized anew for every row

aten = torch.ops.aten


def fuse_dequantization(program: Program) -> int:
    """Replace every ``mm`` and ``addmm`` of a few rows by a weight made of smaller numbers; returns how many."""
    matched = 0
    for node in list(program.graph.nodes):
        if node.op == "call_function" and node.target in _FORMS and _fits(node):
            for early in (cast(fx.Node, node.args[-2]), *_scales(_transposed(node.args[-1]))):
                torch_internals.compute_before_use(early)
            replace_call(program.graph_module, _by_parts(node), _FORMS[node.target])
            matched += 1
    return matched


def _by_parts(node: fx.Node) -> fx.Node:
    """``node`` with its second operand ``[K, N]`` replaced by a tuple of the ``[N, k]`` that it is made of."""
    weight = _transposed(node.args[-1])
    assert weight is not None  # noqa: S101 - _fits has seen to it
    parts = weight.args[0] if weight.target is aten.cat.default else [weight]
    node.args = (*node.args[:-1], tuple(parts))  # type: ignore[arg-type]
    return node


def _mm(a: torch.Tensor, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
    rows = a.float().split([part.shape[1] for part in parts], 1)
    products = [x.unsqueeze(1) * part.float() for x, part in zip(rows, parts, strict=True)]
    if len({part.shape for part in parts}) == 1:
        return sum(products[1:], products[0]).sum(-1).to(a.dtype)
    sums = [each.sum(-1) for each in products]
    return sum(sums[1:], sums[0]).to(a.dtype)


def _addmm(
    x: torch.Tensor, a: torch.Tensor, parts: tuple[torch.Tensor, ...], beta: float = 1, alpha: float = 1
) -> torch.Tensor:
    product = _mm(a, parts)
    product = product if alpha == 1 else product * alpha
    return product + (x if beta == 1 else x * beta)


_FORMS: dict[Any, Callable[..., torch.Tensor]] = {aten.mm.default: _mm, aten.addmm.default: _addmm}


def _fits(node: fx.Node) -> bool:
    a, b = (n.meta["val"] if isinstance(n, fx.Node) else None for n in node.args[-2:])
    if a is None or b is None or a.device.type != "cpu" or a.dtype not in _DTYPES:
        return False
    if not all(isinstance(size, int) for size in (*a.shape, *b.shape)) or not 0 < a.shape[0] <= MOST_ROWS:
        return False
    weight = _transposed(node.args[-1])
    return weight is not None and len(weight.users) == 1 and b.numel() > 0 and _made_of_less(weight)


def _transposed(node: Any) -> fx.Node | None:
    """What ``node`` is the transpose of."""
    source = node.args[0] if isinstance(node, fx.Node) and node.args else None
    if not isinstance(source, fx.Node) or source.meta["val"].ndim != 2:
        return None
    turned = node.target is aten.t.default or (node.target is aten.permute.default and list(node.args[1]) == [1, 0])
    return source if turned else None


def _made_of_less(weight: fx.Node) -> bool:
    """Whether ``weight [N, K]`` is computed element by element from integers that take less memory."""
    waiting, seen, read, integers = [weight], {weight}, 0, False
    while waiting:
        node = waiting.pop()
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            return False
        if node.op != "call_function":
            read += value.numel() * value.element_size()
            integers |= value.dtype in (torch.int8, torch.uint8)
            continue
        joined = node.target is aten.cat.default and node is weight and node.args[1:] in ((1,), (-1,))
        if not (joined or node.target in _FREE or torch.Tag.pointwise in getattr(node.target, "tags", ())):
            return False
        waiting += [n for n in node.all_input_nodes if n not in seen]
        seen.update(node.all_input_nodes)
    whole = weight.meta["val"]
    return integers and read < whole.numel() * whole.element_size()


def _scales(weight: fx.Node | None) -> list[fx.Node]:
    """The conversions of what ``weight`` has once for many of its numbers, and keeps in half precision.

    In one loop with them, everything else would be read in pieces that no vector instruction takes whole.
    """
    assert weight is not None  # noqa: S101 - _fits has seen to it
    waiting, seen, found = [weight], {weight}, []
    while waiting:
        node = waiting.pop()
        if node.op == "call_function":
            waiting += [n for n in node.all_input_nodes if n not in seen]
            seen.update(node.all_input_nodes)
            if node.target in _CONVERSIONS and 8 * node.meta["val"].numel() < weight.meta["val"].numel():
                source = node.args[0]
                found += [node] if isinstance(source, fx.Node) and source.meta["val"].dtype in _HALVES else []
    return found


_HALVES = (torch.bfloat16, torch.float16)
_CONVERSIONS = {aten._to_copy.default, torch.ops.prims.convert_element_type.default}
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_FREE = {  # views, conversions and constants
    aten.full.default,
    aten.scalar_tensor.default,
    aten.view.default,
    aten.reshape.default,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.expand.default,
    aten.slice.Tensor,
    aten._to_copy.default,
    torch.ops.prims.convert_element_type.default,
}


FUSE_DEQUANTIZATION = Pass(
    "fuse_dequantization",
    "close",
    fuse_dequantization,
    "a product of at most four rows with a weight that is dequantized for it",
)
