from __future__ import annotations

import pytest
import torch

import tessera
from tessera.quantize import Rule
from tessera.quantize.transposed import as_linear, is_transposed, put_linear

pytest.importorskip("transformers")


def mlp() -> torch.nn.Module:
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    model = torch.nn.Sequential(Conv1D(24, 10), torch.nn.GELU(), Conv1D(10, 24))
    torch.nn.init.normal_(model[0].bias)
    return model.eval()


X = torch.randn(7, 3, 10, generator=torch.Generator().manual_seed(1))


def test_it_is_a_linear_layer_in_the_same_memory():
    layer = mlp()[0]
    linear = as_linear(layer)
    torch.testing.assert_close(linear(X), layer(X))
    assert linear.weight.data_ptr() == layer.weight.data_ptr()
    assert linear.bias is layer.bias
    other = torch.nn.Linear(2, 2)
    assert as_linear(other) is other


def test_only_what_is_transposed_is_replaced():
    model = mlp()
    gelu, answer = model[1], model(X)
    assert put_linear(model, "1") is gelu
    assert isinstance(put_linear(model, "0"), torch.nn.Linear)
    assert not is_transposed(model[0])
    torch.testing.assert_close(model(X), answer)


@pytest.mark.parametrize(
    "rule",
    [
        Rule("", weight="int8", act="int8"),
        Rule("", weight="int8", act="int8", static=True, method="smooth"),
        Rule("", weight="int4", method="gptq", bias_correction=True),
        Rule("", weight="int8", method="awq"),
    ],
    ids=["dynamic", "smooth", "gptq", "awq"],
)
def test_every_method_does_what_it_does_to_a_linear_layer(rule):
    model = mlp()
    linear = torch.nn.Sequential(as_linear(model[0]), torch.nn.GELU(), as_linear(model[2]))
    found, expected = (
        tessera.quantize(each, rules=[rule], calibration_data=[X], measure=None) for each in (model, linear)
    )
    torch.testing.assert_close(found(X), expected(X))
    assert [row.recipe for row in found.report.layers] == [row.recipe for row in expected.report.layers]
    assert is_transposed(model[0])  # the user's own stays


def test_gpt2_has_its_activations_quantized_and_trains():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=16, n_embd=16, n_layer=2, n_head=2)).eval()
    tokens = torch.randint(30, (3, 8))
    result = tessera.quantize(model, target="int8", calibration_data=[tokens], measure=None)
    recipes = {row.path: row.recipe for row in result.report.layers}
    for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"):
        assert recipes[f"transformer.h.0.{name}"] == "int8 per channel, act int8 dynamic"
    assert 0 < result.report.output_error < 0.05
    trained = tessera.quantize(model, target="int8", train="qat", measure=None)
    trained(tokens, labels=tokens).loss.backward()
    weights = [value for name, value in trained.named_parameters() if "c_fc.quantized_weights" in name]
    assert len(weights) == 2
    assert all(weight.grad is not None and weight.grad.any() for weight in weights)
