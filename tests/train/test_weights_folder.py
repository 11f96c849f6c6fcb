from __future__ import annotations

import torch
from safetensors.torch import load_file

from tessera.train.weights_folder import WeightsFolder


def weight(path) -> float:
    return load_file(path)["weight"].item()


def test_last_and_best(tmp_path):
    module, folder = torch.nn.Linear(1, 1, bias=False), WeightsFolder(tmp_path / "runs" / "a")
    for value, loss in ((1.0, 3.0), (2.0, 1.0), (3.0, float("nan")), (4.0, 2.0)):
        with torch.no_grad():
            module.weight.fill_(value)
        folder.save(module, {"loss": loss})
        assert weight(folder.path / "last.safetensors") == value
    assert weight(folder.path / "best.safetensors") == 2.0
    assert sorted(file.name for file in folder.path.iterdir()) == ["best.safetensors", "last.safetensors"]


def test_without_validation_there_is_no_best(tmp_path):
    WeightsFolder(tmp_path).save(torch.nn.Linear(1, 1), {})
    assert [file.name for file in tmp_path.iterdir()] == ["last.safetensors"]
