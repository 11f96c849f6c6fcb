"""Views of what attention answers: a converter's attention lays its answer out in another way than the traced one.

torch's own kernel answers ``[B, H, S, D]`` with the heads of a position side by side, so that ``transpose(1, 2)`` and a
view of it are free. Written out in products, or behind a ``where``, the answer lies head by head and no view takes it:

    view(transpose(attention))   ->   reshape(transpose(attention))      which copies where it has to
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from tessera import torch_internals

_aten = torch.ops.aten
_ATTENTION = _aten.scaled_dot_product_attention.default
_LAYOUTS = frozenset(
    {
        _aten.transpose.int,
        _aten.permute.default,
        _aten.contiguous.default,
        _aten.view.default,
        _aten.reshape.default,
        _aten.slice.Tensor,
        _aten.clone.default,
        _aten.to.dtype,
    }
)


def reshape_attention(program: ExportedProgram) -> None:
    """Views of attention, also behind what is computed number by number, become reshapes, in place."""
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            for view in _views(module.graph):
                view.target = _aten.reshape.default
            module.recompile()


def _views(graph: fx.Graph) -> list[fx.Node]:
    """Those whose layout comes from attention; none where it is written into: a copy would not hear of that."""
    seen: dict[fx.Node, None] = dict.fromkeys(graph.find_nodes(op="call_function", target=_ATTENTION))
    left = list(seen)
    while left:
        for user in left.pop().users:
            if torch_internals.is_operator(user.target):
                if torch_internals.writes(user.target):
                    return []
                if user not in seen and _keeps_a_layout(user.target):
                    seen[user] = None
                    left.append(user)
    return [node for node in seen if node.target is _aten.view.default]


def _keeps_a_layout(operator: Any) -> bool:
    return operator in _LAYOUTS or torch.Tag.pointwise in operator.tags
