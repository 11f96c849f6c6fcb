from __future__ import annotations

import pytest
import torch

from tessera.checkpoint import CheckpointManager, inspect, save
from tessera.checkpoint.inspection import size
from tessera.errors import CheckpointError


def test_what_is_in_it_is_told_without_loading(tmp_path):
    save(tmp_path, old=1)
    path = save(tmp_path, model=torch.nn.Linear(3, 2), tied=[torch.ones(4)] * 2, step=7)
    found = inspect(tmp_path)
    assert found.path == path
    shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
    assert shapes == {"model.weight": (2, 3), "model.bias": (2,), "tied.0": (4,)}
    assert found.names == {"model": 32, "tied": 16, "step": 0}
    assert list(found.others.values()) == [""]
    text = str(found)
    for words in (str(path), "1 rank", "model  32 B", "model.weight  float32[2, 3]", "snapshot-000001: whole"):
        assert words in text


def test_a_run_tells_its_step_and_metrics(tmp_path):
    with CheckpointManager(tmp_path, {"model": torch.nn.Linear(1, 1)}) as checkpoints:
        checkpoints.save(20, {"loss": 0.25, "broken": float("nan")})
    found = inspect(tmp_path)
    assert (found.step, dict(found.metrics)) == (20, {"loss": 0.25})
    assert "step 20, loss 0.25" in str(found)


def test_what_is_not_whole_is_told(tmp_path):
    broken = save(tmp_path, a=torch.ones(2))
    save(tmp_path, a=torch.ones(2))
    next(broken.glob("*.safetensors")).unlink()
    assert "is missing" in inspect(tmp_path).others[broken]
    with pytest.raises(CheckpointError, match="is missing"):
        inspect(broken)


@pytest.mark.parametrize(("nbytes", "text"), [(0, "0 B"), (999, "999 B"), (200e6, "200 MB"), (1.5e9, "1.5 GB")])
def test_sizes_have_units(nbytes, text):
    assert size(int(nbytes)) == text
