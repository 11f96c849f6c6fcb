from __future__ import annotations

import pytest
import torch

import tessera
from tessera.quantize import Rule


def encoder(layers: int = 0) -> torch.nn.Module:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
    return (torch.nn.TransformerEncoder(layer, layers) if layers else layer).eval()


X = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layers", [0, 2])
def test_what_is_rounded_in_training_is_rounded_in_use(layers):
    rules = [Rule(r"linear\d", weight="int8", act="int8")]
    result = tessera.quantize(encoder(layers), rules=rules, measure=None)
    with torch.no_grad():
        in_use = result.eval()(X)
        torch.testing.assert_close(in_use, result.train()(X))  # there is no dropout
        alone = tessera.quantize(encoder(layers), rules=[Rule(r"linear\d", weight="int8")], measure=None)
        assert (in_use - alone(X)).abs().max() > 1e-4


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_padding_is_left_out_as_before():
    padding = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]).bool()
    model = encoder(2)
    result = tessera.quantize(model, rules=[Rule(r"linear\d", weight="int8", act="int8")], measure=None)
    with torch.no_grad():
        exact, found = (one(X, src_key_padding_mask=padding)[~padding] for one in (model, result))
    assert (found - exact).norm() / exact.norm() < 0.02


def test_weights_alone_keep_the_kernel():
    result = tessera.quantize(encoder(), target="int8-weight", measure=None)
    assert result.activation_relu_or_gelu
