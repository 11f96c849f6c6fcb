from __future__ import annotations

import json

import pytest
import torch

from tessera.errors import ExportError, WeightsError
from tessera.export.export import export
from tessera.export.rebuilding import rebuild


class Net(torch.nn.Module):
    def __init__(self, width, *, depth=1):
        super().__init__()
        self.layers = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(depth)))

    def forward(self, x):
        return self.layers(x)


def test_a_model_comes_back(tmp_path):
    net = Net(4, depth=2)
    report = export(net, tmp_path / "m.safetensors", config={"width": 4, "depth": 2})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.json", "m.safetensors"]
    assert "m.json beside it rebuilds the model: from tessera.export import rebuild." in report.notes
    x = torch.randn(3, 4)
    again = rebuild(report.path, Net)
    torch.testing.assert_close(again(x), net(x), rtol=0, atol=0)
    assert not again.training


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"width": 4}, "layers.1.weight is not there and not [4, 4]"),
        ({"width": 5, "depth": 2}, "layers.0.weight is [5, 5] and not [4, 4]"),
        ({"wide": 4}, "TypeError"),
        ({"width": object()}, "TypeError"),
    ],
    ids=["fewer", "wider", "unknown", "no plain value"],
)
def test_a_config_that_makes_another_model(tmp_path, config, why):
    with pytest.raises(ExportError, match="Net is not rebuilt by its config: ") as error:
        export(Net(4, depth=2), tmp_path / "m.safetensors", config=config)
    assert why in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_config_of_another_class_or_damaged(tmp_path):
    path = export(Net(4), tmp_path / "m.safetensors", config={"width": 4}).path
    with pytest.raises(WeightsError, match="holds the weights of a .*Net, and torch.nn"):
        rebuild(path, torch.nn.Linear)
    file = path.with_suffix(".json")
    described = json.loads(file.read_text())
    others = [{**described, "arguments": {"width": "x"}}, {"class": described["class"]}]
    for broken in ("{", "[]", *map(json.dumps, others)):
        file.write_text(broken)
        with pytest.raises(WeightsError):
            rebuild(path, Net)
