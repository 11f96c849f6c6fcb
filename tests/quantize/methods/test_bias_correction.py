"""Bias correction: the mean output is what it was."""

from __future__ import annotations

import pytest
import torch

from tessera.quantize.methods.bias_correction import corrected_bias


@pytest.mark.parametrize("bias", [None, torch.randn(5)], ids=["none", "bias"])
def test_mean_output_stays(bias):
    exact, x = torch.randn(5, 7), torch.randn(40, 7) + 2
    rounded = exact + 0.3 * torch.rand(5, 7)
    found = torch.nn.functional.linear(x, rounded, corrected_bias(bias, exact, rounded, x.mean(0))).mean(0)
    torch.testing.assert_close(found, torch.nn.functional.linear(x, exact, bias).mean(0))
