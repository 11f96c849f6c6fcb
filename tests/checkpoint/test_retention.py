from __future__ import annotations

import random

import pytest

from tessera.checkpoint import Best
from tessera.checkpoint.finding import snapshots
from tessera.checkpoint.manifest import MANIFEST, Manifest
from tessera.checkpoint.retention import Retention
from tessera.errors import CheckpointError, SettingError


def made(folder, metrics):
    number = len(list(folder.iterdir())) + 1
    path = folder / f"snapshot-{number:06d}"
    path.mkdir()
    (path / MANIFEST).write_bytes(Manifest({}, {}, {"dict": {}}, step=number, metrics=metrics).to_bytes())
    return path


def numbers(folder):
    return [int(path.name[-6:]) for path in snapshots(folder)]


def test_the_last_are_kept(tmp_path):
    for _ in range(5):
        made(tmp_path, {})
    assert len(Retention(2).apply(tmp_path)) == 3
    assert numbers(tmp_path) == [4, 5]
    assert Retention(2).apply(tmp_path) == []


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("seed", range(5))
def test_the_best_are_kept_whenever_they_were(tmp_path, mode, seed):
    rng = random.Random(seed)
    retention, values = Retention(2, Best("score", mode=mode, keep=2)), {}
    for number in range(1, 12):
        values[number] = rng.choice([0.0, 1.0, 2.0, rng.random()])
        path = tmp_path / f"snapshot-{number:06d}"
        path.mkdir()
        (path / MANIFEST).write_bytes(Manifest({}, {}, {"dict": {}}, metrics={"score": values[number]}).to_bytes())
        retention.apply(tmp_path)
        sign = 1 if mode == "min" else -1
        best = sorted(values, key=lambda n: (sign * values[n], -n))[:2]
        assert numbers(tmp_path) == sorted({*best, number, max(1, number - 1)})


def test_without_the_metric_a_snapshot_is_no_candidate(tmp_path):
    for metrics in ({"loss": 1.0}, {}, {"other": 0.0}, {}):
        made(tmp_path, metrics)
    Retention(1, Best("loss")).apply(tmp_path)
    assert numbers(tmp_path) == [1, 4]


def test_a_snapshot_that_is_not_whole_does_not_count(tmp_path):
    paths = [made(tmp_path, {"loss": float(number)}) for number in range(6)]
    for path in (paths[1], paths[4]):
        (path / MANIFEST).write_text("{}")
    Retention(2, Best()).apply(tmp_path)
    assert numbers(tmp_path) == [1, 4, 5, 6]


def test_what_is_not_ours_is_left_alone(tmp_path):
    for _ in range(3):
        made(tmp_path, {})
    (tmp_path / "snapshot-000001" / MANIFEST).unlink()
    (tmp_path / "snapshot-000001" / "thesis.txt").write_text("mine")
    Retention(1).apply(tmp_path)
    assert numbers(tmp_path) == [1, 3]


def test_a_folder_that_cannot_be_removed_is_told(tmp_path, monkeypatch):
    for _ in range(2):
        made(tmp_path, {})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.rename", refuse)
    with pytest.raises(CheckpointError, match="could not be removed"):
        Retention(1).apply(tmp_path)


@pytest.mark.parametrize("arguments", [{"mode": "least"}, {"keep": 0}])
def test_best_is_checked(arguments):
    with pytest.raises(SettingError, match="Best was given"):
        Best(**arguments)
