from __future__ import annotations

import pytest
import torch

from tessera.backend.targets import check
from tessera.backend.targets.check import check_program, run_eagerly
from tessera.errors import ExportError, SettingError
from tessera.program import Role, Value
from tests.backend.hand_made import program, write_back


def updating():
    made = program(lambda p, g: (p.sum(), p - g), torch.ones(3), torch.ones(3))
    made.inputs[0] = Value("weight", Role.PARAMETER)
    write_back(made, made.placeholders[:1], 1)
    return made, [torch.ones(3), torch.tensor([0.5, 0.25, 1.0])]


def test_results_and_updated_inputs_are_compared(monkeypatch):
    made, values = updating()
    expected = run_eagerly(made, values)
    assert list(expected) == ["output 0", "weight afterwards"]
    assert torch.equal(values[0], torch.ones(3))
    torch.testing.assert_close(expected["weight afterwards"], torch.tensor([0.5, 0.75, 0.0]))
    near = {name: value * (1 + 1e-5) for name, value in expected.items()}
    monkeypatch.setattr(check, "run_interpreted", lambda *_: near)
    assert 0 < check_program(made, values, "l4") < 1e-4


@pytest.mark.parametrize("wrong", [torch.tensor([0.5, 0.75, 0.1]), torch.full((3,), torch.nan)], ids=["off", "nan"])
def test_a_difference_is_an_error_that_names_the_tensor(monkeypatch, wrong):
    made, values = updating()
    found = run_eagerly(made, values) | {"weight afterwards": wrong}
    monkeypatch.setattr(check, "run_interpreted", lambda *_: found)
    with pytest.raises(ExportError, match="hand-made: weight afterwards differs by"):
        check_program(made, values, "l4")


def test_an_unknown_target():
    with pytest.raises(SettingError):
        check_program(*updating(), "l5")


def test_random_numbers_are_not_compared():
    made = program(lambda a: (a * torch.rand(3),), torch.ones(3))
    with pytest.raises(ExportError, match="aten.rand draws random numbers"):
        check_program(made, [torch.ones(3)], "l4")


def test_attention_that_drops_nothing_is_compared(monkeypatch):
    monkeypatch.setattr(check, "run_interpreted", lambda made, values, _: run_eagerly(made, values))
    q = torch.randn(1, 2, 4, 8)
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    assert check_program(program(lambda q: (attention(q, q, q)[0],), q), [q], "l4") == 0.0
