"""Whether what expressions lead to is still as it was."""

from __future__ import annotations

import pytest
import torch

from tessera.capture.assumptions import Scope
from tessera.capture.watch import Watch


class Settings:
    def __init__(self):
        self.rate, self.names = 0.1, ["a", "b"]

    @property
    def pair(self):
        return [self, len(self.names)]


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        self.settings = Settings()
        self.table = {"x": 1}
        self.inner = torch.nn.ModuleList([torch.nn.Dropout(0.1)])


PATHS = (
    "module._modules['layer']._parameters['weight']",
    "module.settings.rate",
    "module.settings.names",
    "module.table['x']",
    "module._modules['inner']._modules['0'].p",
    "module.training",
    "module._modules['inner'].__iter__",
    "module.settings.pair",
)
CHANGES = {
    "a parameter": lambda m: setattr(m.layer, "weight", torch.nn.Parameter(torch.zeros(2, 2))),
    "a layer": lambda m: setattr(m, "layer", torch.nn.Linear(2, 2)),
    "a setting": lambda m: setattr(m.settings, "rate", 0.2),
    "all settings": lambda m: setattr(m, "settings", Settings()),
    "a list": lambda m: m.settings.names.append("c"),
    "an entry": lambda m: m.table.update(x=2),
    "an entry of another type": lambda m: m.table.update(x=True),
    "an entry gone": lambda m: m.table.clear(),
    "deep inside": lambda m: setattr(m.inner[0], "p", 0.2),
    "a mode": lambda m: m.eval(),
    "a forward of its own": lambda m: setattr(m.layer, "forward", torch.relu),
    "another layer there": lambda m: m.inner.append(torch.nn.ReLU()),
    "an attribute gone": lambda m: delattr(m.settings, "rate"),
}


def watched():
    model = Model()
    return model, Watch(Scope({"module": model}, {}, {}), PATHS)


@pytest.mark.parametrize("change", CHANGES, ids=lambda name: name)
def test_a_change_is_seen(change):
    model, watch = watched()
    assert watch.holds()
    CHANGES[change](model)
    assert not watch.holds()


def test_what_is_equal_or_written_in_place_is_no_change():
    model, watch = watched()
    model.settings.rate = float("0.1")
    model.settings.names[:] = ["a", "b"]
    model.layer.weight.data.zero_()
    model.eval()
    model.train()
    assert watch.holds()
