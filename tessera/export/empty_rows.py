"""Attention where a mask admits nothing for a position (padding all through): torch answers zeros there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_aten = torch.ops.aten


class ZerosSaid(TorchFunctionMode):
    """The same around a call, for a converter that traces the model itself."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        answer = function(*args, **named)
        mask = args[3] if len(args) > 3 else named.get("attn_mask")
        if function is not scaled_dot_product_attention or mask is None:
            return answer
        admitted = mask if mask.dtype == torch.bool else mask != -math.inf
        return torch.where(admitted.any(-1, keepdim=True), answer, torch.zeros_like(answer))


def say_zeros(program: ExportedProgram) -> None:
    """Write the zeros into the graph, for runtimes whose attention answers NaN.

    ``attention(q, k, v, mask)`` becomes ``where(any(mask), attention(q, k, v, mask), 0)``.
    """
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.find_nodes(op="call_function", target=_ATTENTION):
                mask = node.args[3] if len(node.args) > 3 else node.kwargs.get("attn_mask")
                if mask is not None:
                    _guard(module.graph, node, mask)
            module.recompile()


def _guard(graph: torch.fx.Graph, attention: torch.fx.Node, mask: torch.fx.Node) -> None:
    users = list(attention.users)

    def call(target: Any, *args: Any) -> torch.fx.Node:
        node = graph.call_function(target, args)
        values = [arg.meta["val"] if isinstance(arg, torch.fx.Node) else arg for arg in args]
        node.meta = {**attention.meta, "val": target(*values)}
        return node

    after = attention.next
    with graph.inserting_before(after):
        admitted = mask if mask.meta["val"].dtype == torch.bool else call(_aten.ne.Scalar, mask, -math.inf)
        some = call(_aten.any.dim, admitted, -1, True)
        answer = call(_aten.where.self, some, attention, call(_aten.zeros_like.default, attention))
    for user in users:
        user.replace_input_with(attention, answer)
