from __future__ import annotations

import json

import pytest
import torch

from tessera.checkpoint import save
from tessera.checkpoint.durable import Digest
from tessera.checkpoint.manifest import MANIFEST, Chunk, Manifest, StoredTensor, check_file, read_manifest
from tessera.errors import CheckpointError

TENSOR = StoredTensor("bfloat16", (4, 2), (Chunk("a", "x", (0, 0), (1, 2)), Chunk("a", "x#2", (1, 0), (3, 2))))
WHOLE = Manifest(
    {"a": Digest(3, "ab")}, {"x": TENSOR}, {"dict": {"x": {"tensor": "x"}}}, 7, {"loss": 0.1}, {"lr": "é"}, 2
)


def written(folder, manifest, content=b"abc"):
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    (folder / "a").write_bytes(content)
    return folder


def test_a_manifest_comes_back(tmp_path):
    assert read_manifest(written(tmp_path, WHOLE)) == WHOLE
    assert WHOLE.nbytes == 3
    assert TENSOR.nbytes == 16


def test_it_is_json_with_a_hash_in_front(tmp_path):
    text = json.loads(WHOLE.to_bytes())
    assert list(text) == ["sha256", "content"]
    assert text["content"]["format"] == "tessera.checkpoint"


def test_a_file_of_another_size_is_seen_without_reading_it(tmp_path):
    with pytest.raises(CheckpointError, match="a has 2 bytes and was written with 3"):
        read_manifest(written(tmp_path, WHOLE, b"ab"))


def test_a_file_of_another_content_is_seen_when_it_is_checked(tmp_path):
    manifest = read_manifest(written(tmp_path, WHOLE))
    with pytest.raises(CheckpointError, match="the content of a has changed"):
        check_file(tmp_path, manifest, "a")
    (tmp_path / "a").unlink()
    with pytest.raises(CheckpointError, match="a cannot be read"):
        check_file(tmp_path, manifest, "a")


def test_the_newer_version_of_a_format_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("tessera.checkpoint.manifest.VERSION", 2)
    written(tmp_path, WHOLE)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has the format tessera.checkpoint 2"):
        read_manifest(tmp_path)


def test_a_saved_snapshot_says_what_wrote_it(tmp_path):
    manifest = read_manifest(save(tmp_path, x=torch.ones(2)))
    assert manifest.torch == torch.__version__
    assert manifest.ranks == 1
    assert manifest.step is None
