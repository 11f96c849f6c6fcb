"""Matrix products too small for a library call become part of their neighbours' kernels.

    before   c = mm(a, b)                                   a: [M, K], b: [K, N]
    after    c = sum(a[:, :, None] * b[None, :, :], dim=1)  one fused loop nest with what stands around it

A library call costs some microseconds whatever its size; below ``LARGEST`` multiplications the loop is faster, and a
Program without any library call can be looped in compiled code. The sum runs in another order than the library's:
promise close.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from tessera.backend.replace_call import replace_call
from tessera.backend.rewrite import Pass
from tessera.program import Program

LARGEST = 4096  # multiplications; measured on two cores, see benchmarks

aten = torch.ops.aten


def inline_tiny_products(program: Program) -> int:
    """Replace every ``mm`` and ``addmm`` of static size below ``LARGEST`` multiplications; returns how many."""
    matched = 0
    for node in list(program.graph.nodes):
        if node.op == "call_function" and node.target in _FORMS and _is_tiny(node):
            replace_call(program.graph_module, node, _FORMS[node.target])
            matched += 1
    return matched


def _mm(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.unsqueeze(2) * b.unsqueeze(0)).sum(dim=1)


def _addmm(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float = 1, alpha: float = 1) -> torch.Tensor:
    product = _mm(a, b)
    product = product if alpha == 1 else product * alpha
    return product + (x if beta == 1 else x * beta)


_FORMS: dict[Any, Callable[..., torch.Tensor]] = {aten.mm.default: _mm, aten.addmm.default: _addmm}


def _is_tiny(node: fx.Node) -> bool:
    tensors = [n.meta["val"] for n in node.args if isinstance(n, fx.Node)]
    a, b = tensors[-2:]
    sizes = (*a.shape, b.shape[1])
    if not all(isinstance(size, int) for size in sizes) or a.device.type != "cpu" or a.dtype not in _DTYPES:
        return False
    if len({t.dtype for t in tensors}) > 1:  # the library refuses mixed dtypes, arithmetic would promote them
        return False
    rows, inner, columns = sizes
    return 0 < rows * inner * columns <= LARGEST


_DTYPES = (torch.float32, torch.float64)


INLINE_TINY_PRODUCTS = Pass(
    "inline_tiny_products",
    "close",
    inline_tiny_products,
    "products of few enough multiplications to be cheaper than a call of a library",
)
