from __future__ import annotations

import pytest
import torch
from torch.distributed.checkpoint import HuggingFaceStorageReader
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner

from tessera.checkpoint import load, save
from tessera.checkpoint.loading import read_tensors
from tessera.checkpoint.manifest import MANIFEST, read_manifest
from tessera.nn.weights_file import read_weights
from tessera.torch_internals import load_alone

TENSORS = {"a": torch.arange(12.0).view(3, 4), "b": torch.tensor(2.5), "c": torch.ones(3, dtype=torch.bfloat16)}


def test_a_snapshot_is_safetensors_and_json(tmp_path):
    path = save(tmp_path, x=TENSORS)
    assert sorted(file.name for file in path.iterdir()) == [MANIFEST, "tensors-00001-of-00001.safetensors"]
    found = read_weights(path / "tensors-00001-of-00001.safetensors")
    assert found.keys() == {"x.a", "x.b", "x.c"}
    assert torch.equal(found["x.a"], TENSORS["a"])


def test_torchs_own_reader_reads_its_tensors(tmp_path):
    path = save(tmp_path, x=TENSORS)
    into = {f"x.{name}": torch.zeros_like(value) for name, value in TENSORS.items() if value.dim()}
    load_alone(into, HuggingFaceStorageReader(str(path)), DefaultLoadPlanner(flatten_state_dict=False))
    assert all(torch.equal(into[f"x.{name}"], value) for name, value in TENSORS.items() if value.dim())


def test_a_state_without_tensors_has_no_file_of_tensors(tmp_path):
    path = save(tmp_path, step=3)
    assert [file.name for file in path.iterdir()] == [MANIFEST]
    assert load(path) == {"step": 3}


def test_only_what_is_asked_for_is_read(tmp_path):
    path = save(tmp_path, x=TENSORS)
    into = {"x.b": torch.zeros(())}
    read_tensors(path, read_manifest(path), into)
    assert into["x.b"] == 2.5


def test_no_pickle_is_read(tmp_path, monkeypatch):
    import pickle

    path = save(tmp_path, x=TENSORS, model=torch.nn.Linear(2, 2), step=3)

    def refuse(*_, **__):
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    assert load(path)["step"] == 3


@pytest.mark.parametrize("shape", [(0,), (3, 0), ()])
def test_tensors_without_elements_and_without_dims(tmp_path, shape):
    save(tmp_path, x=torch.ones(shape))
    assert torch.equal(load(tmp_path)["x"], torch.ones(shape))
