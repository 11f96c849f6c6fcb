"""A quantized layer keeps its class's code, whatever reads its weights."""

from __future__ import annotations

import copy

import pytest
import torch

from tessera.quantize.formats import FORMATS
from tessera.quantize.layer import install, kind, quantized_class, weights_of
from tessera.quantize.quantized_tensor import Layout, quantize_tensor


class Scaled(torch.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Experts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Parameter(torch.randn(3, 4, 5))
        self.gain = torch.nn.Parameter(torch.ones(5))

    def forward(self, x):
        return torch.einsum("ni,eio->neo", x, self.up) * self.gain


LAYERS = {
    "linear": (lambda: torch.nn.Linear(4, 6), (3, 4), "linear"),
    "subclass of linear": (lambda: Scaled(4, 6), (3, 4), "other"),
    "conv1d": (lambda: torch.nn.Conv1d(4, 6, 3, padding=1, padding_mode="circular"), (2, 4, 9), "convolution"),
    "conv2d": (lambda: torch.nn.Conv2d(4, 6, 3, groups=2, stride=2), (2, 4, 9, 9), "convolution"),
    "conv3d": (lambda: torch.nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4), "convolution"),
    "transposed": (lambda: torch.nn.ConvTranspose2d(4, 6, 3), (2, 4, 5, 5), "other"),
    "experts": (Experts, (3, 4), "other"),
    "bilinear": (lambda: torch.nn.Bilinear(4, 4, 2), None, "other"),
}


@pytest.mark.parametrize("what", LAYERS)
def test_is_the_layer_with_the_dequantized_weights(what):
    make, shape, found = LAYERS[what]
    layer = make().eval()
    assert kind(layer) == found
    inputs = (torch.randn(shape),) if shape else (torch.randn(2, 4), torch.randn(2, 4))
    weights = {n: quantize_tensor(getattr(layer, n), FORMATS["int8"], Layout("channel")) for n in weights_of(layer)}
    rounded = copy.deepcopy(layer)
    for name, made in weights.items():
        setattr(rounded, name, torch.nn.Parameter(made.dequantize()))
    quantized = copy.deepcopy(layer)
    install(quantized, weights)
    assert isinstance(quantized, type(layer))
    torch.testing.assert_close(quantized(*inputs), rounded(*inputs))
    again = copy.deepcopy(quantized)
    again.load_state_dict(quantized.state_dict())
    torch.testing.assert_close(again(*inputs), rounded(*inputs))
    assert not [name for name, value in quantized.named_parameters() if value.ndim >= 2]


def test_attention_reads_the_weights_of_its_projection():
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    before = attention(x, x, x)[0]
    for layer in (attention, attention.out_proj):
        install(
            layer,
            {n: quantize_tensor(getattr(layer, n), FORMATS["int8"], Layout("channel")) for n in weights_of(layer)},
        )
    with torch.no_grad():
        torch.testing.assert_close(attention(x, x, x)[0], before, rtol=0.05, atol=0.02)


def test_what_is_parametrized_is_quantized_as_it_is_used():
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 6))
    x, used = torch.randn(2, 4), layer.weight.detach()
    assert "weight" in weights_of(layer)
    made = quantize_tensor(used, FORMATS["int8"], Layout("channel"))
    install(layer, {"weight": made})
    torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, made.dequantize(), layer.bias))


def test_a_table_that_renormalizes_its_rows_keeps_its_forward():
    assert kind(torch.nn.Embedding(4, 3, max_norm=1.0)) == "other"


def test_layers_of_a_kind_share_their_class():
    made = [quantized_class(torch.nn.Linear, ("weight",), "linear", False) for _ in range(2)]
    assert made[0] is made[1]
