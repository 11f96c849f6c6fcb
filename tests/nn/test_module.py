from __future__ import annotations

import importlib
import inspect

import pytest
import torch
from torch.nn import Linear

from tessera.errors import WeightsError
from tessera.nn import Module


class Net(Module):
    def __init__(self):
        super().__init__()
        self.first = Linear(4, 3)

    def forward(self, x):
        return self.first(x)


class Renamed(Net):
    def __init__(self):
        super().__init__()
        self.first = Linear(4, 3, bias=False)


def test_it_is_a_torch_module():
    net, x = Net(), torch.randn(2, 4)
    assert list(net.state_dict()) == ["first.weight", "first.bias"]
    assert torch.equal(net(x), net.first(x))
    assert type(net(x)) is torch.Tensor


@pytest.mark.parametrize(
    ("door", "behind"),
    [
        ("fit", "tessera.train.fit"),
        ("evaluate", "tessera.train.evaluate"),
        ("predict", "tessera.train.predict"),
        ("export", "tessera.export.export"),
    ],
)
def test_a_door_takes_what_is_behind_it_and_hands_all_of_it_on(door, behind, monkeypatch):
    file = importlib.import_module(behind)
    function = getattr(file, door)
    ours = list(inspect.signature(getattr(Net, door)).parameters.values())[1:]
    theirs = list(inspect.signature(function).parameters.values())[1:]
    assert [(p.name, p.kind, p.default) for p in ours[1:]] == [(p.name, p.kind, p.default) for p in theirs[1:]]
    taken = {}

    def record(*args, **named):
        taken.update(inspect.signature(function).bind(*args, **named).arguments)
        return "returned"

    monkeypatch.setattr(file, door, record)
    net, values = Net(), {parameter.name: object() for parameter in ours}
    positional = [values.pop(p.name) for p in ours if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert getattr(net, door)(*positional, **values) == "returned"
    assert list(taken.values())[: 1 + len(positional)] == [net, *positional]
    assert {name: taken[name] for name in values} == values


def test_weights_go_to_a_file_and_back(tmp_path):
    saved, loaded = Net(), Net()
    saved.save(tmp_path / "w.safetensors")
    assert sorted(loaded.load(tmp_path / "w.safetensors")) == ["first.bias", "first.weight"]
    assert torch.equal(loaded.first.weight, saved.first.weight)
    with pytest.raises(WeightsError, match="1 unexpected"):
        Renamed().load(tmp_path / "w.safetensors")
    assert Renamed().load(tmp_path / "w.safetensors", strict=False) == ["first.weight"]


def test_it_is_summed_up():
    assert "first    Linear  [2, 3]" in Net().summary(torch.randn(2, 4))
    assert Net().summary().splitlines()[-1].split() == ["total", "15", "15"]
