"""From a layer and a rule to what replaces it."""

from __future__ import annotations

import pytest
import torch

from tessera.errors import QuantizeError
from tessera.quantize.calibration import Statistics
from tessera.quantize.recipe import recipe
from tessera.quantize.rule import Rule


def seen(x: torch.Tensor) -> Statistics:
    found = Statistics()
    found.see(x, gram=True, batches=1)
    return found


def test_error_is_measured_on_outputs_where_there_are_inputs():
    layer, x, rule = torch.nn.Linear(16, 8), torch.randn(50, 16), Rule("", weight="int4")
    on_weights, on_outputs = recipe("a", layer, rule, None), recipe("a", layer, rule, seen(x))
    assert (on_weights.measured_on, on_outputs.measured_on) == ("weights", "outputs")
    rounded = on_outputs.weights["weight"].dequantize()
    exact = layer(x).detach()
    found = torch.nn.functional.linear(x, rounded, layer.bias)
    assert on_outputs.error == pytest.approx(((found - exact).norm() / exact.norm()).item(), rel=1e-4)


def test_a_layer_that_is_not_called_has_no_activation():
    made = recipe("a", torch.nn.Linear(4, 4), Rule("", weight="int8", act="int8"), Statistics())
    assert made.activation is None
    assert "not called" in made.note


@pytest.mark.parametrize(
    "settings",
    [{"act": "int8", "static": True}, {"method": "gptq"}, {"method": "awq"}, {"bias_correction": True}],
    ids=str,
)
def test_what_needs_data_says_so(settings):
    with pytest.raises(QuantizeError, match="without calibration data"):
        recipe("a", torch.nn.Linear(4, 4), Rule("", weight="int8", **settings), None)


def test_the_weight_that_is_not_finite_is_named():
    layer = torch.nn.Linear(4, 4)
    layer.weight.data[0, 0] = float("nan")
    with pytest.raises(QuantizeError, match="head.weight: A weight holds NaN"):
        recipe("head", layer, Rule("", weight="int8"), None)


def test_sizes_are_of_what_is_kept():
    made = recipe("a", torch.nn.Linear(64, 8), Rule("", weight="int4"), None)
    assert (made.bytes_before, made.bytes_after) == (64 * 8 * 4, 64 * 8 // 2 + 8 * 2 * 2)


def loud(rows=300, wide=32):
    x = torch.randn(rows, wide) @ torch.randn(wide, wide)
    x[:, 5] *= 60
    return x


@pytest.mark.parametrize(
    ("settings", "better_than"),
    [
        ({"weight": "int4", "method": "gptq"}, {"weight": "int4"}),
        ({"weight": "int4", "method": "awq"}, {"weight": "int4"}),
        ({"weight": "int8", "act": "int8", "method": "smooth"}, {"weight": "int8", "act": "int8"}),
        ({"weight": "int4", "method": "gptq", "bias_correction": True}, {"weight": "int4"}),
        (
            {"weight": "int8", "act": "int8", "static": True, "method": "smooth"},
            {"weight": "int8", "act": "int8", "static": True},
        ),
    ],
    ids=str,
)
def test_methods_are_better_than_rounding(settings, better_than):
    layer, found = torch.nn.Linear(32, 16), seen(loud())
    better, plain = (recipe("a", layer, Rule("", **made), found) for made in (settings, better_than))
    assert better.error < plain.error


def test_bias_correction_gives_a_layer_a_bias():
    layer, x = torch.nn.Linear(16, 8, bias=False), torch.randn(50, 16) + 3
    made = recipe("a", layer, Rule("", weight="int4", bias_correction=True), seen(x))
    found = torch.nn.functional.linear(x, made.weights["weight"].dequantize(), made.bias).mean(0)
    torch.testing.assert_close(found, layer(x).mean(0).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [torch.nn.Linear(16, 8), torch.nn.Conv1d(16, 8, 3)], ids=["linear", "convolution"])
def test_a_calibrated_layer_has_a_bias_of_whole_steps(layer):
    x = torch.randn(20, 16) if isinstance(layer, torch.nn.Linear) else torch.randn(20, 16, 5)
    made = recipe("a", layer, Rule("", weight="int8", act="int8", static=True), seen(x))
    step = made.weights["weight"].scale.flatten() * made.activation.scale
    torch.testing.assert_close(made.bias / step, (made.bias / step).round(), rtol=1e-6, atol=1e-3)
    assert ((made.bias - layer.bias).abs() <= 0.501 * step).all()
    assert (made.bias != layer.bias).any()


@pytest.mark.parametrize(
    "more", [{}, {"act": "int8"}, {"act": "int8", "static": True, "group": 8}], ids=["weights", "dynamic", "groups"]
)
def test_other_layers_keep_their_bias(more):
    made = recipe("a", torch.nn.Linear(16, 8), Rule("", weight="int8", **more), seen(torch.randn(20, 16)))
    assert made.bias is None


def test_methods_for_linear_layers_are_not_applied_to_others():
    found = seen(torch.randint(4, (10,)))
    made = recipe("a", torch.nn.Embedding(4, 8), Rule("", weight="int8", method="gptq"), found)
    assert "other methods are for linear layers" in made.note
