import pytest
import torch

from tessera.backend.stability.rules.low_precision import LOW_PRECISION
from tests.backend.stability.harness import Rewritten, value_and_gradients

CASES = {
    "sum of products": lambda x, y: (x * y).sum(-1),
    "mean of squares": lambda x, y: x.square().mean(-1) / 64,
    "mean of exponentials": lambda x, y: (torch.exp(x / 16) * y).mean(-1),
    "sum of absolute differences": lambda x, y: (x - y).abs().sum(-1),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_it_is_rounded_once(name, dtype):
    x, y = (torch.linspace(a, b, 32).to(dtype) for a, b in ((-300, 60), (3, -250)))
    rewritten = Rewritten(CASES[name])
    value, gradients = value_and_gradients(rewritten.call, [x, y], [0] if "squares" in name else [0, 1])
    wanted = CASES[name](x.double(), y.double())
    assert value.dtype is dtype
    assert any(rule.name in note for rule in LOW_PRECISION for note in rewritten.notes)
    torch.testing.assert_close(value.double(), wanted.to(dtype).double(), rtol=2 * torch.finfo(dtype).eps, atol=0)
    assert all(g.dtype is dtype and torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("softmax", lambda x: x.exp() / x.exp().sum(-1, keepdim=True)),
        ("mean((x - mean(x))", lambda x: (x * x).mean(-1) - x.mean(-1) ** 2),
        ("norm(x)", lambda x: (x * x).sum(-1).sqrt()),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_sum_in_float32_is_still_part_of_a_pattern(name, function, dtype):
    x = torch.tensor([[60.0, 61.0, 59.5], [-300.0, -299.0, -300.5]]).to(dtype)
    rewritten = Rewritten(function)
    value, (gradient,) = value_and_gradients(rewritten.call, [x], [0])
    assert any(name in note for note in rewritten.notes)
    wanted = function(x.double()).to(dtype)
    torch.testing.assert_close(value, wanted, rtol=4 * torch.finfo(dtype).eps, atol=1e-6)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    "function", [lambda x: x.sum(), lambda x: x.float().square().sum(), lambda x: (x.cos() * x).sum()]
)
def test_what_torch_adds_up_in_float32_anyway_stays(function):
    rewritten = Rewritten(function)
    rewritten.call(torch.ones(4, dtype=torch.float16))
    assert not rewritten.notes


def test_float32_stays():
    rewritten = Rewritten(lambda x: (x * x).sum())
    rewritten.call(torch.ones(4))
    assert not rewritten.notes
