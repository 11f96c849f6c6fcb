from __future__ import annotations

import pytest
from torch import nn

from tessera.errors import SettingError
from tessera.program.precision import NAMES, Precision, resolve_precision


@pytest.mark.parametrize("name", NAMES)
def test_one_word_is_for_all_layers(name):
    asked = resolve_precision(name)
    assert asked.of("") == asked.of("blocks.3.attn") == name
    assert asked.changes_something == (name != "fp32")
    assert str(asked) == name
    assert resolve_precision(asked) is asked


def test_the_last_rule_that_fits_holds_for_a_layer_and_what_is_in_it():
    asked = resolve_precision({"default": "bf16", "blocks": "fp16", "blocks.*.mlp": "fp32", "head": "fp32"})
    layers = ["", "embed", "blocks", "blocks.3", "blocks.3.mlp", "blocks.3.mlp.up", "head", "header"]
    assert [asked.of(layer) for layer in layers] == [
        "bf16", "bf16", "fp16", "fp16", "fp32", "fp32", "fp32", "bf16",
    ]  # fmt: skip
    assert str(asked) == "bf16, blocks: fp16, blocks.*.mlp: fp32, head: fp32"


def test_rules_without_a_default_leave_the_rest_alone():
    asked = resolve_precision({"head": "bf16"})
    assert (asked.of("body"), asked.of("head")) == ("fp32", "bf16")
    assert asked.changes_something
    assert not resolve_precision({"head": "fp32"}).changes_something
    assert resolve_precision({}) == Precision()


def message(given):
    with pytest.raises(SettingError) as error:
        resolve_precision(given)
    return str(error.value)


def test_what_is_no_precision_is_said():
    words = "There is auto, fp32, tf32, bf16, fp16, fp8."
    assert message("bfloat16") == f"precision='bfloat16' was passed. {words} Write 'bf16' in place of 'bfloat16'."
    assert message({"head": 16}) == f"precision={{'head': 16}} was passed. {words} Write 'fp16' in place of 16."
    assert message(None).startswith("precision=None was passed. It is one of auto, fp32")
    assert message({0: "bf16"}).startswith("precision={0: 'bf16'} was passed. It is one of auto, fp32")


def test_a_rule_for_a_layer_that_there_is_not():
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    resolve_precision({"0": "bf16", "*": "fp32"}).check_layers(net)
    with pytest.raises(SettingError) as error:
        resolve_precision({"O": "bf16"}).check_layers(net)
    assert str(error.value).startswith("precision has a rule for 'O'. This Sequential has no such layer. Write for ex")
    with pytest.raises(SettingError, match="Write precision='bf16': this module has no layers"):
        resolve_precision({"a": "bf16"}).check_layers(nn.Linear(2, 2))
