"""Training with quantized weights: quantization-aware training, and QLoRA."""

from __future__ import annotations

import copy

import torch

from tessera.errors import QuantizeError
from tessera.quantize.fake_weight import FakeWeight
from tessera.quantize.layer import quantized_kind
from tessera.quantize.low_rank import LowRank
from tessera.quantize.quantized_tensor import QuantizedTensor

WAYS = ("qat", "qlora")


def convert(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of a model of ``tessera.quantize(..., train="qat")`` with the codes that training came to.

    Raises:
        QuantizeError: nothing in the model is in quantization-aware training, or a weight is not finite.
    """
    result = copy.deepcopy(module)
    holders = [part for part in result.modules() if isinstance(part, torch.nn.ModuleDict)]
    made: dict[FakeWeight, torch.nn.Module] = {}
    for holder in holders:
        for name, weight in holder.items():
            if isinstance(weight, FakeWeight):
                holder[name] = made[weight] = made.get(weight) or weight.quantized()
    if not made:
        raise QuantizeError(
            f"{type(module).__name__} has no weight in quantization-aware training.",
            "convert ends what tessera.quantize(model, train='qat') began.",
            "Write trained = tessera.quantize(model, target='int8', train='qat'), train it, then convert(trained).",
        )
    return result


def add_adapters(module: torch.nn.Module, paths: list[str], rank: int) -> None:
    """Freeze ``module`` and give its quantized linear layers something small to train (Dettmers et al., QLoRA, 2023).

    Raises:
        QuantizeError: the rank is no count, or there is no linear layer.
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise QuantizeError(
            f"rank={rank!r} was passed.",
            "It is the width of what is trained in each layer, at least 1.",
            "Write tessera.quantize(model, target='nf4', train='qlora', rank=8).",
        )
    module.requires_grad_(False)
    layers = [layer for path in paths if quantized_kind(layer := module.get_submodule(path)) == "linear"]
    if not layers:
        raise QuantizeError(
            f"{type(module).__name__} has no quantized linear layer.",
            "QLoRA trains beside linear layers.",
            "Write train='qat' for other layers, or rules that quantize the linear ones.",
        )
    for layer in layers:
        weight = layer.get_submodule("quantized_weights.weight")
        if isinstance(weight, QuantizedTensor):
            out, wide = weight.shape
            layer.add_module("adapter", LowRank(wide, out, rank, weight.dtype, weight.scale.device))
