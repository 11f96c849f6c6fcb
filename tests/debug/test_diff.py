from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tessera.debug import diff
from tessera.errors import SettingError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        h = self.norm(self.first(x))
        return self.last(torch.relu(h))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


X = torch.linspace(-1, 1, 24).reshape(4, 6)


def test_the_same_model_in_other_precisions_does_not_differ(net):
    for other in (net, copy.deepcopy(net), copy.deepcopy(net).double(), copy.deepcopy(net).bfloat16(), "bf16", "fp16"):
        found = diff(net, other, X)
        assert not found, str(found)
        assert found.compared > 8
        assert str(found).startswith("No difference beyond rounding in ")


def test_a_layer_that_differs_is_the_first(net):
    other = copy.deepcopy(net)
    other.norm.eps = 1e-2
    found = diff(net, other, X)
    assert (found.first.name, found.first.place.layer) == ("aten.native_layer_norm", "norm")
    assert found.where.code == "h = self.norm(self.first(x))"
    assert "rounding explains" in str(found)


def test_a_backward_that_differs(net):
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Other(Net):
        def forward(self, x):
            h = self.norm(self.first(x))
            return self.last(torch.relu(h))

    other = Other()
    other.load_state_dict(net.state_dict())
    assert not diff(net, other, X)
    other.last.register_forward_pre_hook(lambda module, given: (Twice.apply(given[0]),))
    found = diff(net, other, X)
    assert found.first.phase == "backward"


def test_other_code_with_the_same_result_does_not_differ():
    def by_squares(x):
        return (x - x.mean()).square().mean()

    def by_hand(x):
        centred = x - x.mean()
        return (centred * centred).mean()

    def cancelling(x):
        return (x * x).mean() - x.mean() ** 2

    x = torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert not diff(by_squares, by_hand, x)
    found = diff(by_squares, cancelling, x + 3000)
    assert found
    assert found.where.code == "return (x * x).mean() - x.mean() ** 2"


def test_an_overflow_of_half_precision():
    def scaled(x):
        y = x * 300
        return y.sum()

    found = diff(scaled, lambda x: scaled(x.half()), torch.full((4,), 300.0))
    assert found.where.code == "y = x * 300"
    assert "torch.float32, the second in torch.float16" in str(found)


def test_what_is_no_function(net):
    with pytest.raises(SettingError, match="diff"):
        diff(net, "int3", X)
