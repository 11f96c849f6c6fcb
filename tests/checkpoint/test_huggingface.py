from __future__ import annotations

import errno
import json
import os

import pytest
import torch

from tessera.checkpoint import load_weights, save_weights
from tessera.checkpoint.ranks import rank_of
from tessera.errors import SettingError, WeightsError
from tessera.nn.weights_file import read_weights
from tests.checkpoint.jobs import launch, parts
from tests.checkpoint.samples import same


def net():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 5))


@pytest.mark.parametrize("most", [1, 50, 100, 200, 10**9])
def test_shards_are_read_by_what_reads_hugging_faces(tmp_path, most):
    model = net()
    files = save_weights(tmp_path, model, max_shard_bytes=most)
    state = model.state_dict()
    assert same(dict(sorted(read_weights(tmp_path).items())), dict(sorted(state.items())))
    other = net()
    load_weights(other, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(state.values(), other.state_dict().values(), strict=True))
    names = {path.name for path in tmp_path.iterdir()}
    if len(files) == 1:
        assert names == {"model.safetensors"}
    else:
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert names == {"model.safetensors.index.json", *index["weight_map"].values()}
        assert index["metadata"]["total_size"] == sum(value.nbytes for value in state.values())
        assert files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    for path in files:
        weights = read_weights(path)
        assert len(weights) == 1 or sum(value.nbytes for value in weights.values()) <= most


def test_tied_weights_are_saved_once(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight
    save_weights(tmp_path, model)
    assert set(read_weights(tmp_path)) == {"0.weight", "0.bias", "1.bias"}
    load_weights(model, tmp_path)


def test_weights_that_are_there_are_never_mixed_with_others(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    save_weights(tmp_path, net())
    with pytest.raises(WeightsError, match="has model.safetensors already"):
        save_weights(tmp_path, net())


def test_a_crash_leaves_no_weights_or_all(tmp_path, monkeypatch):
    real = os.write

    def full(file, piece):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)  # the index is the last thing that is written
    with pytest.raises(WeightsError, match="No space left"):
        save_weights(tmp_path, net(), max_shard_bytes=50)
    with pytest.raises(WeightsError, match="There is no file"):
        read_weights(tmp_path)
    monkeypatch.setattr(os, "write", real)
    save_weights(tmp_path, net(), max_shard_bytes=50)
    assert len(read_weights(tmp_path)) == len(net().state_dict())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: torch.nn.LazyLinear(2), "without memory"),
        (lambda: torch.nn.Linear(1, 1, device="meta"), "without memory"),
    ],
)
def test_what_has_no_memory_is_refused(tmp_path, make, says):
    with pytest.raises(WeightsError, match=says):
        save_weights(tmp_path, make())


def test_a_shard_has_room_for_something(tmp_path):
    with pytest.raises(SettingError, match="max_shard_bytes=0"):
        save_weights(tmp_path, net(), max_shard_bytes=0)


def gather(folder, ranks):
    model, _ = parts(ranks)
    if rank_of() == 1:
        with torch.no_grad():
            model.get_buffer("3.running_mean").fill_(5)  # another rank's buffer is not the one that is written
    save_weights(folder, model, max_shard_bytes=100)
    return sorted(path.name for path in folder.iterdir()) if rank_of() == 0 else []


def test_a_model_sharded_over_ranks_is_gathered(tmp_path):
    folder = tmp_path / "weights"
    names, _ = launch(gather, folder, 2)
    assert "model.safetensors.index.json" in names
    model, _ = parts(0)
    assert same(dict(sorted(read_weights(folder).items())), dict(sorted(model.state_dict().items())))
