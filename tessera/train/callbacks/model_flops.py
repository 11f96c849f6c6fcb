"""How much arithmetic a training step of a model is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tessera import torch_internals
from tessera.train.batches import Batch


def model_flops(module: torch.nn.Module, batch: Batch) -> int:
    """Floating-point operations of the matrix products and convolutions of one forward and backward.

    A multiplication and an addition are two. What PaLM (Chowdhery et al., 2022) calls model FLOPs: attention counts in
    full, causal or not; recomputation, elementwise work and the optimizer do not count.

    It runs on tensors without data, in a copy of the module, so that parameters, gradients, buffers, attributes and
    random numbers stay as they are.

    Raises:
        Exception: whatever the module raises where a tensor has no data (a branch on a value), or cannot be copied; a
            ValueError for one that has hooks, which may keep what they see.
    """
    if torch_internals.has_global_module_hooks() or any(map(torch_internals.has_module_hooks, module.modules())):
        raise ValueError("the model has hooks, and they could keep what they see")
    mode = torch_internals.new_fake_mode()
    memo = {id(tensor): _without_data(tensor, mode) for tensor in (*module.parameters(), *module.buffers())}
    twin: torch.nn.Module = copy.deepcopy(module, memo)
    inputs = [torch_internals.fake_copy(mode, tensor.detach()) for tensor in batch.inputs]
    devices = {tensor.device for tensor in batch.inputs if tensor.device.type == "cuda"}
    counter = FlopCounterMode(display=False, custom_mapping=_recurrent_formulas())
    # Fused attention would count its own recomputation, or nothing at all where torch has no formula for it.
    with torch.random.fork_rng(devices=devices), mode, sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), counter:
        output = twin(*([] if batch.names else inputs), **dict(zip(batch.names, inputs, strict=False)))
        roots = [tensor for tensor in torch_internals.tensors_in(_plain(output)) if tensor.requires_grad]
        weights = [weight for weight in twin.parameters() if weight.requires_grad]
        torch.autograd.grad(roots, weights, [torch.ones_like(root) for root in roots], allow_unused=True)
    return counter.get_total_flops()


def _without_data(tensor: torch.Tensor, mode: Any) -> torch.Tensor:
    fake: torch.Tensor = torch_internals.fake_copy(mode, tensor.detach())
    return torch.nn.Parameter(fake, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else fake


def _plain(output: Any) -> Any:
    """An output that is an object (as Hugging Face's are) as its attributes."""
    known = isinstance(output, torch.Tensor | dict | list | tuple)
    return output if known else vars(output)


def _recurrent_formulas() -> dict[Any, Callable[..., int]]:
    """For the kernels that run a whole layer and that torch's counter passes over."""
    forward, backward = torch_internals.recurrent_kernels()
    return dict.fromkeys(forward, _recurrent) | dict.fromkeys(
        backward, lambda *shapes, **named: 2 * _recurrent(*shapes, **named)
    )


def _recurrent(inputs: Sequence[int], *shapes: Any, **_: Any) -> int:
    weights = shapes[0] if isinstance(shapes[0][0], Sequence) else shapes[:4]  # cuDNN: a list; oneDNN: four arguments
    return 2 * math.prod(inputs[:-1]) * sum(math.prod(shape) for shape in weights if len(shape) == 2)
