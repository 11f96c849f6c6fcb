from __future__ import annotations

import pytest
import torch

from tessera.artefact.archive import Members, inspect_archive, write_archive
from tessera.errors import ArtefactError
from tessera.export.artefact import load_artefact
from tessera.export.asked import read_example
from tessera.export.export import export

X = torch.randn(4, 3)


def test_a_model_in_an_artefact_and_whose_it_is(tmp_path, monkeypatch):
    report = export(torch.nn.Linear(3, 2), tmp_path / "m.tessera", X, measure=False, metadata={"author": "me"})
    assert report.format == "Tessera artefact"
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["m.tessera"]
    archive = inspect_archive(report.path)
    assert archive.manifest["inputs"] == [{"name": "input", "dtype": "torch.float32", "shape": ["batch", 3]}]
    assert (archive.manifest["outputs"], archive.manifest["metadata"]) == (["output"], {"author": "me"})
    _, example = read_example(torch.nn.Linear(3, 2), X, None)
    assert load_artefact(report.path)(example)[0].shape == (4, 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another user"))
    with pytest.raises(ArtefactError, match="was not saved by you"):
        load_artefact(report.path)
    assert load_artefact(report.path, trust=archive.hash)(example)[0].shape == (4, 2)


def test_something_else(tmp_path):
    write_archive(tmp_path / "m.tessera", {"kind": "training step"}, Members())
    with pytest.raises(ArtefactError, match="holds a training step. What is run with tensors alone is"):
        load_artefact(tmp_path / "m.tessera")
