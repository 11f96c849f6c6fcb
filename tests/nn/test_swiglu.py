from __future__ import annotations

import pytest
import torch

from tessera.errors import LayerError
from tessera.nn import SwiGLU


@pytest.mark.parametrize("bias", [False, True])
def test_it_is_the_papers_formula(bias):
    layer, x = SwiGLU(6, 10, bias=bias).double(), torch.randn(2, 3, 6, dtype=torch.float64)
    weights = dict(layer.named_parameters())
    w, v, w2 = (weights[f"{name}_proj.weight"] for name in ("gate", "up", "down"))
    b, c, b2 = (weights.get(f"{name}_proj.bias", 0.0) for name in ("gate", "up", "down"))
    gate = x @ w.T + b
    assert torch.allclose(layer(x), (gate * torch.sigmoid(gate) * (x @ v.T + c)) @ w2.T + b2)


def test_its_weights_have_llamas_names():
    assert list(SwiGLU(6, 10).state_dict()) == ["gate_proj.weight", "up_proj.weight", "down_proj.weight"]


@pytest.mark.parametrize(("embed_dim", "hidden_dim"), [(3, 8), (512, 1368), (768, 2048), (1, 8)])
def test_the_default_size_costs_as_much_as_a_plain_mlp(embed_dim, hidden_dim):
    assert SwiGLU(embed_dim).gate_proj.out_features == hidden_dim
    assert 0 <= 3 * hidden_dim - 8 * embed_dim < 24


def test_gradients():
    x = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(SwiGLU(4, 5).double(), x)


@pytest.mark.parametrize(("embed_dim", "hidden_dim"), [(0, 8), (8, 0), (8, -1)])
def test_impossible_sizes_are_refused(embed_dim, hidden_dim):
    with pytest.raises(LayerError) as caught:
        SwiGLU(embed_dim, hidden_dim)
    assert str(caught.value) == (
        f"SwiGLU was given embed_dim={embed_dim} and hidden_dim={hidden_dim}. "
        "Both are numbers of channels, at least 1. "
        "Write SwiGLU(512), or SwiGLU(512, 1376) to choose the hidden size."
    )
