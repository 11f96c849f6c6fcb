"""Sums that ExecuTorch adds up in float32, in ones that it does not.

Seen with 1.5: its optimized kernel for a sum along one dimension, of numbers of the answer's type, adds floats whatever
the type is, so that sums of whole numbers are wrong beyond 2 ** 24 and those of float64 have seven digits. Along two
dimensions, one of them one long, the portable kernel runs, which adds numbers of the answer's own type:

    sum(x, [1])   ->   sum(unsqueeze(x, -1), [1, -1])

This is done where everything else is decomposed, so that sums within other operators are such too.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import fx

_EXACT = frozenset({torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.float64})


def add_in_own_type(module: fx.GraphModule) -> Any:
    """A pass of ExecuTorch's over what is in its own operators."""
    from torch.fx.passes.infra.pass_base import PassResult

    changed = False
    for each in module.modules():
        if isinstance(each, fx.GraphModule) and _rewritten(each.graph):
            each.recompile()
            changed = True
    return PassResult(module, changed)


def _rewritten(graph: fx.Graph) -> bool:
    from executorch.exir.dialects._ops import ops

    aten = ops.edge.aten
    sums = [node for node in graph.find_nodes(op="call_function", target=aten.sum.dim_IntList) if _is_wrong(node)]

    def call(target: Any, *args: Any, like: fx.Node, **more: Any) -> fx.Node:
        node = graph.call_function(target, args, more)
        values = [arg.meta["val"] if isinstance(arg, fx.Node) else arg for arg in args]
        node.meta = {**like.meta, "val": target(*values, **more)}
        return node

    for node in sums:
        x, (axis,), *keep = node.args
        rank, keeps = x.meta["val"].dim(), bool(keep and keep[0])
        with graph.inserting_before(node):
            deeper = call(aten.unsqueeze_copy.default, x, rank, like=x)
            found = call(aten.sum.dim_IntList, deeper, [axis % rank, rank], keeps, like=node, **node.kwargs)
            if keeps:
                found = call(aten.squeeze_copy.dims, found, [rank], like=node)
        node.replace_all_uses_with(found)
        graph.erase_node(node)
    return bool(sums)


def _is_wrong(node: fx.Node) -> bool:
    source, axes, *_ = cast("tuple[Any, ...]", node.args)
    x = source.meta["val"]
    return len(axes or ()) == 1 and x.dim() > 0 and x.dtype in _EXACT and x.dtype == node.meta["val"].dtype
