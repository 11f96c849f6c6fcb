"""Arithmetic on single numbers happens once, not once for every element.

    before   for i: p[i] -= lr / (1 - pow(b1, t)) * m[i]       one loop; pow and float64 in every iteration
    after    c = lr / (1 - pow(b1, t)); for i: p[i] -= c * m[i]

A 0-d value that meets a larger tensor is computed into memory of its own before the loop. So the bias corrections of an
optimizer, which are float64, no longer keep the loop from using vector instructions. Constants stay in the loop, where
they are literals. Promise: bitwise.
"""

from __future__ import annotations

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.rewrite import Pass
from tessera.program import Program


def settle_scalars(program: Program) -> int:
    """Mark every computed 0-d value that is used by a larger one; returns how many were newly marked."""
    marked = 0
    for node in program.graph.nodes:
        if node.op == "call_function" and _is_scalar(node) and any(_is_larger(user) for user in node.users):
            marked += not _is_constant(node) and torch_internals.compute_before_use(node)
    return marked


def _is_constant(node: fx.Node) -> bool:
    while node.target in _CONVERSIONS:
        node = node.all_input_nodes[0]
    return node.target in _CONSTANTS and not node.all_input_nodes


def _is_scalar(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dim() == 0


def _is_larger(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dim() > 0


_CONSTANTS = {torch.ops.aten.full.default, torch.ops.aten.scalar_tensor.default}
_CONVERSIONS = {torch.ops.aten._to_copy.default, torch.ops.prims.convert_element_type.default}

SETTLE_SCALARS = Pass(
    "settle_scalars", "bitwise", settle_scalars, "arithmetic on single numbers inside of a loop over elements"
)
