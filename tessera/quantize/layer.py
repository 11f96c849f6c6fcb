"""A layer whose weights are quantized, and whose code is the one that it had.

The layer's class becomes a subclass in which the name of a weight is a property that dequantizes. So whatever
reads ``layer.weight`` works on: the layer's own forward, an attention that reads its projections, ``isinstance``.
Where there is a faster way than dequantizing the whole weight, the subclass has a forward of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.utils import parametrize

from tessera import torch_internals
from tessera.quantize.activation import ActivationQuantizer
from tessera.quantize.embedding import embedding_forward
from tessera.quantize.fake_weight import FakeWeight
from tessera.quantize.linear import linear_forward
from tessera.quantize.quantized_tensor import QuantizedTensor

CONVOLUTIONS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)


def kind(layer: torch.nn.Module) -> str:
    """``"linear"``, ``"convolution"``, ``"embedding"``, or ``"other"`` for a class with a forward of its own."""
    cls = type(layer)
    if isinstance(layer, torch.nn.Linear) and cls.forward is torch.nn.Linear.forward:
        return "linear"
    if isinstance(layer, torch.nn.Embedding) and cls.forward is torch.nn.Embedding.forward and layer.max_norm is None:
        return "embedding"
    if any(isinstance(layer, known) and cls.forward is known.forward for known in CONVOLUTIONS):
        return "convolution"
    return "other"


def quantized_kind(layer: torch.nn.Module) -> str:
    """The ``kind`` of a layer that is quantized; empty for one that is not."""
    return getattr(type(layer), "quantized_kind", "")


def weights_of(layer: torch.nn.Module) -> list[str]:
    """The names of the layer's own parameters that are matrices, or more than that."""
    names = [name for name, value in layer.named_parameters(recurse=False) if value.ndim >= 2 and _is_real(value)]
    if parametrize.is_parametrized(layer):
        names += [name for name in layer.parametrizations if getattr(layer, name).ndim >= 2]  # type: ignore[union-attr]
    return names


def install(
    layer: torch.nn.Module,
    weights: Mapping[str, QuantizedTensor | FakeWeight],
    activation: ActivationQuantizer | None = None,
    smoothing: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
) -> None:
    """Change ``layer``, a copy of the user's, to compute with ``weights``.

    Args:
        layer: of any class.
        weights: by the names of the parameters that they replace.
        activation: how the input of a linear layer or a convolution is quantized.
        smoothing: ``[in]``, by what the input of a linear layer is divided; its weight was multiplied by it.
        bias: takes the place of the one there is.
    """
    torch_internals.register_quantized_operators()
    found = kind(layer)
    for name in weights:
        if parametrize.is_parametrized(layer, name):
            parametrize.remove_parametrizations(layer, name, leave_parametrized=True)
        delattr(layer, name)
    cls: Any = type(layer)
    layer.__class__ = quantized_class(cls, tuple(weights), found, activation is not None)
    layer.add_module("quantized_weights", torch.nn.ModuleDict(dict(weights)))
    layer.add_module("activation", activation)
    layer.add_module("adapter", None)
    layer.register_buffer("smoothing", smoothing)
    if bias is not None:
        layer.register_parameter("bias", torch.nn.Parameter(bias))


@functools.cache
def quantized_class(cls: type, names: tuple[str, ...], found: str, with_activation: bool) -> type:
    """The subclass of ``cls`` with these names computed; one for all layers of a kind, so that they compile once."""
    contents: dict[str, Any] = {name: property(functools.partial(_dequantized, name=name)) for name in names}
    contents |= {"__module__": cls.__module__, "quantized_kind": found}
    if found == "linear":
        contents["forward"] = linear_forward
    elif found == "embedding":
        contents["forward"] = embedding_forward
    elif found == "convolution" and with_activation:
        contents["forward"] = _with_activation(cls)
    return type(f"Quantized{cls.__name__}", (cls,), contents)


def _dequantized(layer: Any, name: str) -> torch.Tensor:
    weight = layer.quantized_weights[name].dequantize()
    return weight if layer.smoothing is None else weight / layer.smoothing


def _with_activation(cls: Any) -> Any:
    def forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
        return cls.forward(layer, layer.activation(x))

    return forward


def _is_real(value: torch.Tensor) -> bool:
    return value.is_floating_point() and not isinstance(value, torch.nn.parameter.UninitializedParameter)
