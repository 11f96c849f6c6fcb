"""Truncated, bit-flipped, foreign and half-written checkpoints: a clear error each, and `latest` is the last good."""

from __future__ import annotations

import json
import logging
import random
import shutil

import pytest
import torch

from tessera.checkpoint import inspect, latest, load, restore, save
from tessera.errors import CheckpointError
from tessera.nn.weights import save_weights
from tests.checkpoint.samples import same

GOOD = {
    "model": {"a": torch.arange(50.0), "b": torch.ones(3, dtype=torch.bfloat16)},
    "step": 1,
    "empty": torch.zeros(0),
}
FILES = ("manifest.json", "tensors-00001-of-00001.safetensors")


@pytest.fixture
def newest(tmp_path):
    """The newest of two snapshots in ``tmp_path``."""
    save(tmp_path, **GOOD)
    return save(tmp_path, **{**GOOD, "step": 2})


def is_refused(folder, newest):
    """Whether loading raises three sentences, and `latest` gives the snapshot before."""
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert str(newest) in str(caught.value)
    assert caught.value.received.endswith(".")
    before = latest(folder)
    assert before is not None
    assert before != newest
    return same(load(before), GOOD)


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_seen(tmp_path, newest, name):
    path = newest / name
    content = path.read_bytes()
    rng = random.Random(0)
    places = {0, 1, 7, 8, 9, 10, len(content) - 1, len(content) - 2, *(rng.randrange(len(content)) for _ in range(60))}
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert is_refused(tmp_path, newest)
    path.write_bytes(content)
    assert load(tmp_path)["step"] == 2


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_seen(tmp_path, newest, name):
    path = newest / name
    content = path.read_bytes()
    for length in {0, 1, 8, 74, 75, len(content) // 2, len(content) - 1}:
        path.write_bytes(content[:length])
        assert is_refused(tmp_path, newest)
    path.write_bytes(content + b"\0")
    assert is_refused(tmp_path, newest)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_or_a_folder_is_seen(tmp_path, newest, name):
    (newest / name).unlink()
    assert is_refused(tmp_path, newest)
    (newest / name).mkdir()
    assert is_refused(tmp_path, newest)


def test_files_of_two_snapshots_are_not_mixed(tmp_path, newest):
    before = newest.with_name("snapshot-000001")
    (newest / FILES[0]).write_bytes((before / FILES[0]).read_bytes())
    assert load(tmp_path)["step"] == 1  # the same tensors: all of the first snapshot, and whole
    third = save(tmp_path, model={"a": torch.zeros(50), "b": torch.ones(3, dtype=torch.bfloat16)}, step=3)
    (third / FILES[1]).write_bytes((before / FILES[1]).read_bytes())
    assert is_refused(tmp_path, third)


def test_what_is_passed_over_is_said(tmp_path, newest, caplog):
    (newest / FILES[1]).unlink()
    with caplog.at_level(logging.WARNING):
        latest(tmp_path)
    assert f"{FILES[1]} is missing" in caplog.text


def test_where_nothing_is_good_there_is_no_latest(tmp_path):
    assert latest(tmp_path / "nowhere") is None
    assert latest(tmp_path) is None
    path = save(tmp_path, **GOOD)
    (path / FILES[0]).write_text("{}")
    assert latest(tmp_path) is None
    assert latest(path) is None


def test_a_file_of_empty_tensors_is_checked_too(tmp_path):
    path = save(tmp_path, empty=torch.zeros(0, 3)) / FILES[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="has changed"):
        load(tmp_path)


def dcp(folder):
    (folder / ".metadata").write_bytes(b"\x80\x04")
    (folder / "__0_0.distcp").write_bytes(b"x")


def hugging_face(folder):
    save_weights(torch.nn.Linear(2, 2), folder / "model.safetensors")


def orbax(folder):
    (folder / "_CHECKPOINT_METADATA").write_text("{}")


def nothing(folder):
    pass


def unfinished(folder):
    (folder / ".unfinished-1234").mkdir()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (dcp, "torch.distributed.checkpoint"),
        (hugging_face, "weights as safetensors"),
        (orbax, "Orbax"),
        (nothing, "nothing was saved there"),
        (unfinished, "the first save was not finished"),
        (shutil.rmtree, "no such folder"),
        (lambda folder: (folder.rmdir(), torch.save({}, folder)), "it is a file"),
        (lambda folder: (folder / "manifest.json").write_text('{"name": "an extension"}'), "not one of tessera"),
    ],
)
@pytest.mark.parametrize("read", [load, inspect, lambda folder: restore(folder, {"model": torch.nn.Linear(1, 1)})])
def test_what_is_no_snapshot_is_called_what_it_is(tmp_path, make, says, read):
    folder = tmp_path / "there"
    folder.mkdir()
    make(folder)
    with pytest.raises(CheckpointError, match=says):
        read(folder)
    assert latest(folder) is None


def resealed(path, change):
    """A manifest changed by someone who also wrote the right hash."""
    from hashlib import sha256

    from tessera.checkpoint.manifest import _FRONT

    content = json.loads(path.read_bytes())["content"]
    change(content)
    text = json.dumps(content).encode()
    path.write_bytes((_FRONT % sha256(text).hexdigest()).encode() + text + b"}\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(version=2),
        lambda c: c.update(format="other"),
        lambda c: c.pop("tensors"),
        lambda c: c.update(files={"../../secret": {"size": 1, "sha256": ""}}),
        lambda c: c["tensors"]["model.a"].update(dtype="nn"),
        lambda c: c["tensors"]["model.a"].update(dtype="int128"),
        lambda c: c["tensors"]["model.a"].update(shape=[10**15]),
        lambda c: c["tensors"]["model.a"].update(shape=[51]),
        lambda c: c["tensors"]["model.a"]["chunks"].clear(),
        lambda c: c["tensors"]["model.a"]["chunks"][0].update(file="other"),
        lambda c: c["tensors"]["model.a"]["chunks"][0].update(key="model.b"),
        lambda c: c["tensors"]["model.a"]["chunks"][0].update(key="nowhere"),
        lambda c: c["tensors"]["model.a"]["chunks"][0].update(key=["model.a"]),
        lambda c: c.update(ranks=float("inf")),
        lambda c: c["tensors"]["model.a"]["chunks"][0].update(sizes=[-50]),
        lambda c: c["tensors"].pop("model.a"),
        lambda c: c.update(values={"dict": {"step": {"eval": "1"}}}),
        lambda c: c.update(values={"dict": {"step": {"dtype": "load"}}}),
        lambda c: c.update(values={"dict": {"step": {"numpy_dtype": ["O"]}}}),
        lambda c: c.update(values={"dict": {"step": {"array": {"dtype": "O", "shape": [1], "tensor": "model.a"}}}}),
        lambda c: c.update(values={"dict": {"step": {"a": 1, "b": 2}}}),
        lambda c: c.update(values=[1]),
        lambda c: c.update(values={"dict": {"step": {"tensor": ["model.a"]}}}),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, newest, change):
    resealed(newest / FILES[0], change)
    with pytest.raises(CheckpointError):
        load(tmp_path)
