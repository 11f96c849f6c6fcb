"""Which buffers are caches, and what is said of those that are none."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.errors import QuantizeError
from tessera.quantize import Rule
from tests.quantize.decoders import EVERY, Attention, Decoder, answers, calls, decoder


@pytest.mark.parametrize("how", EVERY)
def test_caches_are_found_however_they_are_written(how):
    model = decoder(EVERY[how])
    before = {name: value.clone() for name, value in model.named_buffers()}
    result = tessera.quantize(model, kv_cache="int8", calibration_data=list(calls()), measure=None)
    names = ["cache.held"] if how == "WithModule" else ["k_cache", "v_cache"]
    assert [row.path for row in result.report.layers] == [f"layers.{n}.{name}" for n in range(2) for name in names]
    assert 0 < result.report.output_error < 0.01
    for row in result.report.layers:
        assert (row.recipe, row.measured_on) == ("int8 cache per row", "rows")
        assert 1e-4 < row.error < 0.01
    for name, value in model.named_buffers():
        assert torch.equal(value, before[name])
    exact = answers(model)
    assert (answers(result) - exact).norm() / exact.norm() < 0.01


def test_memory_before_and_after_is_told():
    result = tessera.quantize(decoder(), kv_cache="int8", calibration_data=list(calls()))
    row = result.report.layers[0]
    assert (row.bytes_before, row.bytes_after) == (4 * 12 * 8 * 4, 4 * 12 * (8 + 4))
    saved = result.report.memory_bytes[0] - result.report.memory_bytes[1]
    assert saved == 4 * (row.bytes_before - row.bytes_after)
    assert result.report.speed is not None
    assert result.report.left_alone == {}


def test_weights_and_caches_together():
    rules = [Rule(r"layers\.1\.", cache="fp8_e4m3"), Rule("head", weight=None)]
    data = list(calls())
    result = tessera.quantize(decoder(), "int8", data, rules, kv_cache="int8", measure=None)
    recipes = {row.path: row.recipe for row in result.report.layers}
    assert recipes["layers.0.k_cache"] == "int8 cache per row"
    assert recipes["layers.1.v_cache"] == "fp8_e4m3 cache per row"
    assert recipes["layers.0.mix"].startswith("int8 per channel, act int8")
    assert "head" not in recipes
    assert 0 < result.report.output_error < 0.1


def test_a_cache_that_costs_too_much_stays():
    model, data = decoder(), list(calls())
    exact = answers(model)
    model.empty()

    def close(one: torch.nn.Module) -> float:
        one.empty()
        found = answers(one)
        one.empty()
        return -float((found - exact).norm() / exact.norm())

    loose = tessera.quantize(model, None, data, kv_cache="fp8_e5m2", metric=close, max_metric_drop=1.0, measure=None)
    assert len(loose.report.layers) == 4
    drop = -loose.report.metric[1] / 2
    tight = tessera.quantize(model, None, data, kv_cache="fp8_e5m2", metric=close, max_metric_drop=drop, measure=None)
    assert 0 < len(tight.report.layers) < 4
    assert -tight.report.metric[1] <= drop
    assert all("of the metric" in why for why in tight.report.left_alone.values())


class Remembers(Decoder):
    """Has a moving average of the last token, and counts, beside the caches."""

    def __init__(self, attention=Attention):
        super().__init__(attention)
        self.register_buffer("average", torch.zeros(1, 32))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, tokens, at):
        self.calls += 1
        self.average.mul_(0.9).add_(self.embed(tokens)[:, -1])
        return super().forward(tokens, at) + self.average.sum()


def test_a_state_that_is_computed_from_itself_stays():
    result = tessera.quantize(Remembers().eval(), kv_cache="int8", calibration_data=list(calls()), measure=None)
    assert list(result.report.left_alone) == ["average"]
    assert "again and again" in result.report.left_alone["average"]
    assert len(result.report.layers) == 4


class Transposed(Attention):
    """Keys lie ``[..., channels, tokens]``: a token is a column, and its row is written by every token."""

    def kept(self, k, v, at):
        self.k_cache.view(1, 4, 8, 12)[..., at] = k.transpose(2, 3)
        self.v_cache.index_copy_(2, at, v)
        return self.k_cache.view(1, 4, 8, 12).transpose(2, 3), self.v_cache

    def __init__(self):
        super().__init__()
        self.k_cache = self.k_cache.reshape(1, 4, 8, 12)


def test_a_cache_with_its_tokens_last_stays():
    model = decoder(Transposed)
    result = tessera.quantize(model, kv_cache="int8", calibration_data=list(calls()), measure=None)
    assert list(result.report.left_alone) == ["layers.0.k_cache", "layers.1.k_cache"]
    assert [row.path for row in result.report.layers] == ["layers.0.v_cache", "layers.1.v_cache"]


def test_a_buffer_that_two_modules_have_stays():
    model = decoder()
    model.layers[1].k_cache = model.layers[0].k_cache
    result = tessera.quantize(model, kv_cache="int8", calibration_data=list(calls()), measure=None)
    assert result.report.left_alone == {"layers.0.k_cache": "another parameter or buffer has its memory as well"}
    with pytest.raises(QuantizeError, match="tensor of its own"):
        tessera.quantize(model, rules=[Rule("k_cache", cache="int8")])


def test_rules_name_caches_without_data():
    result = tessera.quantize(decoder(), rules=[Rule("[kv]_cache", cache="int8")])
    assert len(result.report.layers) == 4
    assert result.report.layers[0].note == "nothing is known of its error, since there is no calibration data"
    assert result.report.output_error is None


def test_one_batch_says_what_it_does_not_show():
    result = tessera.quantize(decoder(), kv_cache="int8", calibration_data=list(calls())[:1], measure=None)
    assert result.report.output_error == 0
    assert result.report.layers[0].note.startswith("its rows are rounded after the call that writes them")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kv_cache": "int8"}, "without calibration data"),
        ({"kv_cache": "int4", "calibration_data": list(calls())}, "There are int8, fp8_e4m3, fp8_e5m2"),
        ({"rules": [Rule("kcache", cache="int8")]}, r"matches no buffer\. The nearest paths of buffers are 'layers"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings, message):
    with pytest.raises(QuantizeError, match=message):
        tessera.quantize(decoder(), **settings)


def test_a_model_without_a_cache():
    with pytest.raises(QuantizeError, match="Linear keeps no keys and values in buffers: a call changes none"):
        tessera.quantize(torch.nn.Linear(4, 4), kv_cache="int8", calibration_data=torch.randn(3, 4))


def test_a_rule_for_a_buffer_of_other_numbers():
    with pytest.raises(QuantizeError, match=r"the buffer 'calls', torch\.float32 of shape \[\]"):
        tessera.quantize(Remembers(), rules=[Rule("calls", cache="int8")])
