"""Hugging Face's ``Conv1D``, of GPT-2 and its kin: a linear layer that keeps its weight ``[in, out]``."""

from __future__ import annotations

import torch


def is_transposed(layer: torch.nn.Module) -> bool:
    """Whether it is one; known by its name, so that nothing of Hugging Face's is imported."""
    cls = type(layer)
    return (cls.__module__, cls.__name__) == ("transformers.pytorch_utils", "Conv1D")


def as_linear(layer: torch.nn.Module) -> torch.nn.Module:
    """``torch.nn.Linear`` with the same numbers in the same memory; any other layer is given back as it is."""
    if not is_transposed(layer):
        return layer
    weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
    wide, out = weight.shape
    linear = torch.nn.Linear(wide, out, device="meta").train(layer.training)
    linear.weight = torch.nn.Parameter(weight.detach().t(), weight.requires_grad)
    linear.bias = bias
    return linear


def put_linear(module: torch.nn.Module, path: str) -> torch.nn.Module:
    """Have ``as_linear`` of the layer at ``path`` take its place, and return what is there now."""
    layer = module.get_submodule(path)
    if path and is_transposed(layer):
        holder, _, name = path.rpartition(".")
        layer = as_linear(layer)
        setattr(module.get_submodule(holder), name, layer)
    return layer
