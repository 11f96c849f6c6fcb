"""Rules: which layer gets which, and what is said of those that cannot be meant."""

from __future__ import annotations

import pytest

from tessera.errors import QuantizeError
from tessera.quantize.quantized_tensor import Layout
from tessera.quantize.rule import Rule, assign

PATHS = ["embed", "layers.0.mlp.up", "layers.0.attn.q", "layers.1.mlp.up", "layers.1.attn.q", "head"]


def test_the_first_that_matches_counts():
    first, second, rest = Rule(r"layers\.0", weight="int4"), Rule("mlp", weight="int8"), Rule("", weight="nf4")
    assert assign([first, second, rest], PATHS) == {
        "embed": rest,
        "layers.0.mlp.up": first,
        "layers.0.attn.q": first,
        "layers.1.mlp.up": second,
        "layers.1.attn.q": rest,
        "head": rest,
    }


def test_a_rule_that_matches_nothing_names_the_nearest_paths():
    with pytest.raises(QuantizeError) as error:
        assign([Rule("embedding", weight="int8")], PATHS)
    assert str(error.value).startswith("Rule('embedding', weight='int8') matches no layer. The nearest paths")
    assert "'embed'" in str(error.value)
    with pytest.raises(QuantizeError, match=r"layers\.0\.mlp\.up"):
        assign([Rule(r"layers\.\d+\.mpl", weight="int8")], PATHS)


def test_a_rule_that_never_counts_is_a_contradiction():
    with pytest.raises(QuantizeError, match=r"never counts: all that it matches \(head\) belongs to Rule\(''"):
        assign([Rule("", weight="int8"), Rule("head", weight="int4")], PATHS)


def test_what_is_no_rule_is_refused():
    with pytest.raises(QuantizeError, match="rules holds 'embed'"):
        assign(["embed"], PATHS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": "int3"}, "'int3'"),
        ({"weight": "int8", "act": "nf4"}, "'nf4'"),
        ({"act": "int8"}, "Add weight"),
        ({"group": 32}, "Add weight"),
        ({"weight": "int8", "group": 0}, "at least 1"),
        ({"weight": "int8", "group": 2.5}, "at least 1"),
        ({"weight": "int8", "group": 32, "per": "channel"}, "no groups"),
        ({"weight": "nf4", "symmetric": False}, "no zero point"),
        ({"weight": "int8", "static": True}, "Add act"),
        ({"weight": "int8", "range": "median"}, "'min-max', 'percentile', 'mse', 'entropy', 'rms'"),
        ({"weight": "int8", "method": "hope"}, "'round', 'smooth', 'gptq', 'awq'"),
        ({"weight": "int8", "per": "row"}, "'tensor', 'channel', 'group'"),
        ({"weight": "mxfp4", "method": "gptq"}, "mxfp4"),
        ({"cache": "int4"}, "There are int8, fp8_e4m3, fp8_e5m2"),
        ({"cache": "int8", "weight": "int8"}, "for caches or for layers"),
    ],
    ids=str,
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(QuantizeError, match=message):
        Rule("mlp", **settings)


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(QuantizeError, match="not a regular expression"):
        Rule("layers.(", weight="int8")


def test_layouts_follow_the_format():
    assert Rule("a", weight="int8").layout(100) == Layout("channel")
    assert Rule("a", weight="int4").layout(100) == Layout("group", 32)
    assert Rule("a", weight="int4", per="channel").layout(100) == Layout("channel")
    assert Rule("a", weight="int8", group=128).layout(100) == Layout("group", 100)
