from __future__ import annotations

import pytest
import torch

from tessera.checkpoint import load, loading, save
from tessera.checkpoint.durable import remove_folder
from tessera.errors import CheckpointError


def test_the_newest_or_the_one_that_is_named(tmp_path):
    first = save(tmp_path, step=1)
    save(tmp_path, step=2)
    assert load(tmp_path) == load(str(tmp_path)) == {"step": 2}
    assert load(first) == {"step": 1}


def test_what_is_loaded_is_its_own_and_can_be_trained(tmp_path):
    save(tmp_path, a=torch.nn.Parameter(torch.ones(3)), b=torch.ones(2))
    one, other = load(tmp_path), load(tmp_path)
    one["a"] += 1
    assert other["a"].tolist() == [1, 1, 1]
    assert not one["a"].requires_grad
    assert one["a"].untyped_storage().nbytes() == 12


def test_a_snapshot_that_is_removed_meanwhile_gives_way_to_the_next(tmp_path, monkeypatch):
    old = save(tmp_path, step=1)
    real, seen = loading.read_manifest, []

    def read(path):
        if not seen:
            seen.append(path)
            save(tmp_path, step=2)
            remove_folder(old)
        return real(path)

    monkeypatch.setattr(loading, "read_manifest", read)
    assert load(tmp_path) == {"step": 2}
    assert seen == [old]


def test_a_snapshot_that_is_damaged_never_gives_way(tmp_path):
    save(tmp_path, a=torch.ones(3))
    newest = save(tmp_path, a=torch.ones(3))
    next(newest.glob("*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="snapshot-000002"):
        load(tmp_path)
