"""`tessera.quantize`: the whole way, eager and compiled."""

from __future__ import annotations

import copy

import pytest
import torch

import tessera
from tessera.errors import QuantizeError, SettingError
from tessera.quantize import Rule
from tessera.quantize.targets import TARGETS


class Model(torch.nn.Module):
    """An embedding, a tied head, a convolution, an attention and a feed-forward layer."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(20, 32)
        self.conv = torch.nn.Conv1d(32, 32, 3, padding=1)
        self.attention = torch.nn.MultiheadAttention(32, 4, batch_first=True)
        self.mlp = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 32))
        self.norm = torch.nn.LayerNorm(32)
        self.head = torch.nn.Linear(32, 20, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        x = self.embed(tokens)
        x = x + self.conv(x.transpose(1, 2)).transpose(1, 2)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.norm(x + self.mlp(x)))


TOKENS = torch.randint(20, (6, 9), generator=torch.Generator().manual_seed(5))
# Relative error of the outputs that each format is held to.
BOUNDS = {"int8": 0.05, "int8-weight": 0.03, "fp8": 0.15, "fp8_e5m2": 0.3}


@pytest.mark.parametrize("target", TARGETS)
def test_answers_nearly_the_same(target):
    model = Model()
    before = copy.deepcopy(model.state_dict())
    result = tessera.quantize(model, target=target, calibration_data=TOKENS)
    assert isinstance(result, Model)
    assert result.report.output_error < BOUNDS.get(target, 0.5)
    assert result.report.memory_bytes[0] > 2 * result.report.memory_bytes[1]
    assert {layer.path for layer in result.report.layers} == {
        *("embed", "conv", "attention", "attention.out_proj", "mlp.0", "mlp.2", "head")
    }
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.head.weight is model.embed.weight


def test_rules_come_before_the_target():
    result = tessera.quantize(
        Model(), target="int8", rules=[Rule("embed", weight="nf4"), Rule("head", weight=None)], measure=None
    )
    recipes = {layer.path: layer.recipe for layer in result.report.layers}
    assert recipes["embed"].startswith("nf4")
    assert recipes["mlp.0"].startswith("int8 per channel, act int8")
    assert result.report.left_alone == {"head": "a rule"}


def test_a_tied_weight_that_stays_is_a_copy():
    model = Model()
    result = tessera.quantize(model, target="int8", rules=[Rule("head", weight=None)], measure=None)
    assert result.head.weight is not model.head.weight
    assert torch.equal(result.head.weight, model.head.weight)


def test_tied_weights_are_kept_once():
    result = tessera.quantize(Model(), target="int8-weight", measure=None)
    assert result.head.quantized_weights["weight"] is result.embed.quantized_weights["weight"]


def test_without_a_target_rules_are_all():
    result = tessera.quantize(Model(), rules=[Rule(r"mlp\.\d", weight="int4", act="int8", group=128)])
    assert [layer.path for layer in result.report.layers] == ["mlp.0", "mlp.2"]
    assert "head" in result.report.left_alone


def test_metric_is_measured_before_and_after():
    model = Model()
    result = tessera.quantize(model, metric=lambda m: m.embed.weight.sum().item())
    assert result.report.metric[0] == model.embed.weight.sum().item()
    assert result.report.metric[1] == result.embed.weight.sum().item()


def test_compiled_is_eager():
    _compiled_is_eager(Rule("", weight="int8", act="int8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        Rule("", weight="int8", act="int8", static=True),
        Rule("", weight="int4", act="int8", group=16),
        Rule("", weight="int4", symmetric=False),
        Rule("", weight="nf4"),
        Rule("", weight="mxfp4"),
        Rule("", weight="fp8_e4m3", act="fp8_e4m3"),
        Rule("", weight="fp8_e5m2"),
    ],
    ids=str,
)
def test_compiled_is_eager_in_every_format(rule):
    _compiled_is_eager(rule)


def _compiled_is_eager(rule):
    model = torch.nn.Sequential(torch.nn.Linear(32, 48), torch.nn.GELU(), torch.nn.Linear(48, 10)).eval()
    result = tessera.quantize(model, rules=[rule], calibration_data=torch.randn(64, 32))
    compiled, x = tessera.compile(result, mode="inference"), torch.randn(7, 32)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), result(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rule", "operators"),
    [
        (Rule("", weight="int8", act="int8", static=True), {"QuantizeLinear": 2, "DequantizeLinear": 4}),
        (Rule("", weight="int8", act="int8"), {"MatMulInteger": 2}),
        (Rule("", weight="int4", symmetric=False, group=24), {"DequantizeLinear": 2}),
        (Rule("", weight="nf4"), {}),
    ],
    ids=str,
)
def test_exported_is_eager_and_codes_stay_codes(tmp_path, rule, operators):
    onnx = pytest.importorskip("onnx")
    model = torch.nn.Sequential(torch.nn.Linear(32, 48), torch.nn.GELU(), torch.nn.Linear(48, 10)).eval()
    result = tessera.quantize(model, rules=[rule], calibration_data=torch.randn(64, 32), measure=None)
    exported = tessera.export(result, tmp_path / "model.onnx", example_inputs=torch.randn(4, 32))
    assert exported.max_error < 1e-4
    found = [node.op_type for node in onnx.load(exported.path).graph.node]
    names = ("QuantizeLinear", "DequantizeLinear", "MatMulInteger")
    assert {name: found.count(name) for name in names if name in found} == operators


def test_state_is_restored():
    first, second = (tessera.quantize(Model(), target="int4") for _ in range(2))
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(first.eval()(TOKENS), second.eval()(TOKENS))


def test_hooks_of_the_user_stay():
    model, seen = Model(), []
    model.mlp[0].register_forward_hook(lambda *_: seen.append(1))
    result = tessera.quantize(model)
    seen.clear()
    result(TOKENS)
    assert seen == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "int7"}, "target='int7'"),
        ({"rules": [Rule("embed", weight="int8", act="int8")]}, "not known to be one tensor of numbers"),
        ({"rules": [Rule("decoder", weight="int8")]}, "matches no layer"),
        ({"rules": [Rule("", weight=None)]}, "nothing to quantize"),
        ({"calibration_data": TOKENS[:0]}, "empty"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(QuantizeError, match=message):
        tessera.quantize(Model(), **arguments)


def test_a_model_without_matrices_is_refused():
    with pytest.raises(QuantizeError, match="no layer has a matrix"):
        tessera.quantize(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.BatchNorm1d(3)))


def test_recurrent_layers_stay_as_they_are():
    model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(4, 8), "head": torch.nn.Linear(8, 2)})
    assert list(tessera.quantize(model).report.left_alone) == ["rnn"]
    with pytest.raises(QuantizeError, match="LSTM"):
        tessera.quantize(model, rules=[Rule("rnn", weight="int8")])


def test_a_module_has_a_door():
    model = tessera.nn.Sequential([tessera.nn.Linear(4, 4)])
    assert tessera.nn.Module.quantize(model, "int4").report.layers[0].recipe == "int4 per group of 4"


def test_what_is_no_module_is_refused():
    with pytest.raises(QuantizeError, match="A function was to be quantized"):
        tessera.quantize(lambda x: x)
    with pytest.raises(SettingError, match="measure='often'"):
        tessera.quantize(Model(), measure="often")
