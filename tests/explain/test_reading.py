import ast
import sys
import types
from collections import defaultdict
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from tessera.explain.reading import UNKNOWN, Reader, attribute, computed, is_torch_function, is_torchs_own


class Pair(NamedTuple):
    left: Any
    right: Any


class Watched:
    ran = 0

    @property
    def value(self):
        self.ran += 1
        return torch.ones(2)

    def __getattr__(self, name):
        Watched.ran += 1
        raise AttributeError(name)


def read(code, **names):
    frame = types.SimpleNamespace(f_locals=names, f_globals={"torch": torch, "nn": nn})
    return Reader(frame).value(ast.parse(code, mode="eval").body)


X = torch.arange(12.0).reshape(2, 6)


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        ("x", [2, 6]), ("x.T", [6, 2]), ("x @ x.T", [2, 2]), ("-x[:, 1:3]", [2, 2]), ("pair.left[0]", [6]),
        ("x.transpose(0, 1).unsqueeze(-1)", [6, 2, 1]), ("torch.cat([x, x], dim=1)", [2, 12]), ("x > 2", [2, 6]),
        ("torch.nn.functional.linear(x, *[net[0].weight])", [2, 3]), ("net(x)", [2, 3]), ("net[0].weight", [3, 6]),
        ("x.view(x.shape[0], 3, -1)", [2, 3, 2]), ("torch.zeros_like(x, device='meta').sum(0)", [6]),
        ("torch.ones(n, 2)", [3, 2]), ("torch.arange(n).float()", [3]), ("torch.randn(x.shape[1], 4).T", [4, 6]),
        ("torch.tensor([[1.0, n]], device='cuda')", [1, 2]),
    ],
)  # fmt: skip
def test_tensors_without_data_have_the_right_shape(code, shape):
    net = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    numbers = torch.get_rng_state()
    assert list(read(code, x=X, n=3, net=net, pair=Pair(X, 1)).shape) == shape
    assert torch.equal(torch.get_rng_state(), numbers)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("code", "value"),
    [("n", 3), ("n * 2 + len(pair)", 8), ("x.shape[1] // n", 2), ("(n, -n)", (3, -3)), ("slice(None)", slice(None)),
     ("[0, *sizes]", [0, 4, 5]), ("x.dtype", torch.float32), ("pair.right", 1)],
)  # fmt: skip
def test_plain_values(code, value):
    assert read(code, x=X, n=3, pair=Pair(X, 1), sizes=[4, 5]) == value


@pytest.mark.parametrize(
    "code",
    ["missing", "f(x)", "watched.value", "watched.other", "x.add_(1)", "x.item()", "x.view(7)", "[y for y in x]",
     "mine(x)", "torch.manual_seed(3)", "watched + x", "made['absent']", "x if n else 2"],
)  # fmt: skip
def test_nothing_of_the_users_runs(code):
    class Mine(nn.Module):
        def forward(self, x):
            raise AssertionError

    def f(x):
        raise AssertionError

    Watched.ran = 0
    made = defaultdict(list)
    watched, x, seed = Watched(), X.clone(), torch.initial_seed()
    assert read(code, f=f, x=x, n=3, watched=watched, mine=Mine(), made=made) is UNKNOWN
    assert Watched.ran == 0
    assert not made
    assert torch.equal(x, X)
    assert torch.initial_seed() == seed


def test_attributes_of_modules_and_of_what_is_unknown():
    layer = nn.Linear(2, 3)
    layer.scale = 2
    assert attribute(layer, "weight") is layer.weight
    assert attribute(layer, "scale") == 2
    assert attribute(layer, "forward")(torch.ones(2)).shape == (3,)
    assert attribute(layer, "absent") is UNKNOWN
    assert attribute(UNKNOWN, "shape") is UNKNOWN


def test_a_layer_with_a_hook_is_not_torchs_own():
    layer = nn.Linear(2, 3)
    assert is_torchs_own(layer)
    layer.register_forward_hook(lambda *_: None)
    assert not is_torchs_own(layer)
    assert computed(layer, torch.ones(2)) is UNKNOWN


def test_functions_of_torch():
    assert is_torch_function(torch.matmul)
    assert is_torch_function(nn.functional.softmax)
    assert not is_torch_function(torch.Tensor.add_)
    assert not is_torch_function(sys.exit)
