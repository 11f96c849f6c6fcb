"""What `tessera.nn` offers: every layer of torch, the same class, and Tessera's own."""

from __future__ import annotations

import pytest
import torch

import tessera.nn

OWN = {"Dropout", "GroupedQueryAttention", "Module", "RotaryEmbedding", "Sequential", "SwiGLU", "TransformerBlock"}
# Superseded or deprecated in torch itself, or newer than torch 2.11.
LEFT_OUT = {"Container", "DataParallel", "LinearCrossEntropyLoss", "LinearCrossEntropyOptions", "NLLLoss2d"}
TORCH = {name for name in dir(torch.nn) if name[0].isupper()} - LEFT_OUT


@pytest.mark.parametrize("name", sorted(TORCH - OWN))
def test_a_layer_of_torch_is_torchs_own(name):
    assert getattr(tessera.nn, name) is getattr(torch.nn, name)


@pytest.mark.parametrize("name", sorted(OWN))
def test_an_own_layer_is_a_torch_module(name):
    assert issubclass(getattr(tessera.nn, name), torch.nn.Module)
    assert getattr(tessera.nn, name).__module__.startswith("tessera.nn.")


def test_names_can_be_completed():
    assert {*TORCH, *OWN, "functional", "init", "utils"} <= set(dir(tessera.nn))
