import copy

import pytest
import torch

import tessera
from tessera.export.example import Example
from tessera.export.rounding import is_rounding
from tessera.quantize import Rule


@pytest.fixture
def quantized():
    torch.manual_seed(0)
    layers = [part for _ in range(6) for part in (torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.LayerNorm(64))]
    return tessera.quantize(torch.nn.Sequential(*layers), rules=[Rule("", weight="int8", act="int8")], measure=None)


def _case(x):
    return Example((x,), ("x",), ({},))


def test_a_quantized_model_may_differ_as_much_as_it_moves_itself(quantized):
    case = _case(torch.randn(64, 64))
    twin = copy.deepcopy(quantized)
    with torch.no_grad():
        twin[0].bias.mul_(1 + 2.0**-22)
        answer, found = case.call(quantized), case.call(twin)
    assert not torch.equal(answer, found)
    assert is_rounding(quantized, case, [answer], [found])


@pytest.mark.parametrize("place", [0, 6, 15])
def test_what_is_wrong_is_not_taken_for_rounding(quantized, place):
    case = _case(torch.randn(64, 64))
    twin = copy.deepcopy(quantized)
    with torch.no_grad():
        twin[place].bias.zero_()
        answer, found = case.call(quantized), case.call(twin)
    assert not is_rounding(quantized, case, [answer], [found])


def test_a_model_that_does_not_round_moves_by_nothing_much():
    model = torch.nn.Linear(64, 64)
    case = _case(torch.randn(8, 64))
    answer = case.call(model).detach()
    assert not is_rounding(model, case, [answer], [answer * (1 + 1e-5)])
    assert not is_rounding(model, case, [answer], [torch.full_like(answer, torch.nan)])
    assert not is_rounding(model, case, [answer.argmax(1)], [answer.argmax(1) + 1])
    assert is_rounding(model, case, [answer], [answer * (1 + 2.0**-24)])
