"""Whether gradients pass through float16, whose smallest number is 6e-8: then the loss is scaled.

A forward without gradients (a frozen teacher) and a batch that is cast before it meets a parameter do not count.
"""

from __future__ import annotations

import torch
from torch import fx

from tessera import torch_internals


def graph_has_float16_gradients(graph_module: fx.GraphModule) -> bool:
    """Whether a forward that Dynamo captured has gradients in float16; of its inner graphs, any float16 counts."""
    return any(
        value.dtype == torch.float16 and (value.requires_grad or part is not graph_module)
        for part in graph_module.modules()
        if isinstance(part, fx.GraphModule)
        for node in part.graph.nodes
        for value in torch_internals.tensors_in(node.meta.get("example_value"))
    )


def loss_has_float16_gradients(loss: torch.Tensor) -> bool:
    """Whether the backward of ``loss`` computes gradients in float16, as far as autograd has recorded it.

    It does not see inside compiled code, nor inside an ``autograd.Function`` of the user's.
    """
    return torch.float16 in torch_internals.gradient_dtypes(loss)
