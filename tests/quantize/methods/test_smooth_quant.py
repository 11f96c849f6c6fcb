"""SmoothQuant: weights and inputs become equally hard, and an outlier in the inputs costs less."""

from __future__ import annotations

import torch

from tessera.quantize.activation import ActivationQuantizer
from tessera.quantize.formats import FORMATS
from tessera.quantize.methods.smooth_quant import smooth_quant
from tessera.quantize.quantized_tensor import Layout, quantize_tensor


def test_both_sides_reach_equally_far():
    weight, reach = torch.randn(8, 6), torch.rand(6) * 100 + 0.1
    factors = smooth_quant(weight, reach)
    torch.testing.assert_close(reach / factors, (weight * factors).abs().amax(0))


def test_loud_channels_lose_less():
    weight, x = torch.randn(16, 32), torch.randn(200, 32)
    x[:, 3] *= 100
    quantizer, exact = ActivationQuantizer(FORMATS["int8"], None), x @ weight.T

    def lost(factors):
        made = quantize_tensor(weight * factors, FORMATS["int8"], Layout("channel")).dequantize()
        return (quantizer(x / factors) @ made.T - exact).norm().item()

    assert lost(smooth_quant(weight, x.abs().amax(0))) < 0.5 * lost(torch.ones(32))


def test_silent_channels_stay_finite():
    factors = smooth_quant(torch.zeros(4, 3), torch.zeros(3))
    assert factors.isfinite().all()
    assert (factors > 0).all()
