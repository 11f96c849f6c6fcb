"""`tessera info step.tessera` shows a saved step, trusted or not."""

from __future__ import annotations

import json

import pytest
import torch

from tessera.artefact.archive import Members, write_archive
from tessera.artefact.environment import environment
from tessera.cli import artefact_facts
from tessera.cli.main import main
from tessera.errors import ArtefactError
from tessera.export import artefact
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.format import Options


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    members = Members()
    members.add(b"code", "code", ".so")
    write_archive(
        tmp_path / "step.tessera",
        {
            "kind": "training step",
            "name": "training step of Net",
            "environment": environment(),
            "model": {"class": "Net", "tensors": {"weight": "Parameter float32[3]"}, "tied": {}},
            "step": {
                "targets": 1,
                "loss": {"kind": "name", "name": "mse"},
                "metrics": ["l1"],
                "options": {"clip_norm": 0.5},
                "memory_budget": None,
                "precision": ["auto", []],
            },
            "programs": [{"batch": {"layouts": [[[8, 4], [4, 1], "float32"]]}}],
        },
        members,
    )
    return tmp_path / "step.tessera"


def test_it_says_what_the_file_is(path, capsys, tmp_path, monkeypatch):
    facts = artefact_facts.collect(path)
    assert facts["artefact"]["saved by you"] is True
    assert facts["artefact"]["fits here"] == "yes"
    assert facts["step"]["batch 1"] == "float32[8, 4]"
    assert facts["step"]["loss"] == "mse"
    assert facts["environment"]["torch"].startswith(torch.__version__)
    assert list(facts["members"].values()) == [4]
    assert main(["info", str(path)]) == 0
    told = capsys.readouterr().out
    assert facts["artefact"]["hash"] in told
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == facts
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert artefact_facts.collect(path)["artefact"]["saved by you"] is False


def test_an_exported_model_is_shown_too(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # The compiler takes half a minute: the package is a stand-in, the manifest is the one that the format writes.
    monkeypatch.setattr(artefact, "compile_package", lambda flat, example, path, options: path.write_bytes(b"code"))
    net, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    example = Example((x,), ("input",), ({0: "batch"},))
    path = tmp_path / "m.tessera"
    artefact.write_artefact(FlatCall(net, (x,), {}), example, path, Options(metadata={"by": "us"}))
    facts = artefact_facts.collect(path)
    assert facts["artefact"]["kind"] == "exported model"
    assert facts["inputs"] == {"input": "float32[batch, 3]"}
    assert facts["metadata"] == {"by": "us"}
    assert len(facts["outputs"]) == 1
    assert main(["info", str(path)]) == 0
    assert "float32[batch, 3]" in capsys.readouterr().out
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == facts


def test_what_is_no_artefact_is_said(path, tmp_path, capsys):
    (tmp_path / "other").write_bytes(b"nothing")
    with pytest.raises(ArtefactError, match="no artefact"):
        artefact_facts.collect(tmp_path / "other")
    assert main(["info", str(tmp_path / "other")]) != 0
    assert "no artefact that can be loaded" in capsys.readouterr().err
    write_archive(path, {"kind": "training step", "step": 3}, Members())
    with pytest.raises(ArtefactError, match="something else than its manifest says"):
        artefact_facts.collect(path)
