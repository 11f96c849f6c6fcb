from __future__ import annotations

import time

import pytest
import torch

from tessera.checkpoint import latest, load, save
from tessera.checkpoint.finding import checked, find, last_good, snapshots
from tessera.errors import CheckpointError


def test_snapshots_are_in_the_order_of_saving(tmp_path):
    paths = [save(tmp_path, step=number) for number in range(12)]
    (tmp_path / "notes.txt").write_text("mine")
    assert snapshots(tmp_path) == paths
    assert find(tmp_path) == latest(tmp_path) == paths[-1]
    assert find(paths[3]) == latest(paths[3]) == paths[3]
    assert snapshots(tmp_path / "nowhere") == []


def test_a_folder_of_folders_is_looked_through_by_time(tmp_path):
    for name in ("step_9", "step_10", "step_8"):
        save(tmp_path / name, name=name)
        time.sleep(0.01)
    assert load(latest(tmp_path))["name"] == "step_8"
    with pytest.raises(CheckpointError, match="nothing was saved there"):
        load(tmp_path)


def test_checked_reads_every_file(tmp_path):
    path = save(tmp_path, a=torch.ones(9))
    assert checked(path).tensors.keys() == {"a"}
    file = next(path.glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="has changed"):
        checked(path)
    assert last_good([path]) is None


def test_a_snapshot_that_is_asked_for_by_name_is_never_another(tmp_path):
    first, second = save(tmp_path, step=1), save(tmp_path, step=2)
    for file in second.iterdir():
        file.unlink()
    with pytest.raises(CheckpointError, match="snapshot-000002"):
        load(second)
    assert latest(tmp_path) == first
