from __future__ import annotations

import dataclasses
import json

import pytest

import tessera.capture.emit as capture
from tessera.cli.main import main
from tests.backend.targets.test_emission import emission

MODEL = """
import torch
import tessera

def build():
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    step = tessera.train_step(net, "cross_entropy", torch.optim.SGD(net.parameters(), lr=0.1))
    return step, torch.randn(6, 4), torch.randint(0, 3, (6,))

def number():
    return 3
"""


@pytest.fixture
def folder(project, monkeypatch):
    (project / "to_emit.py").write_text(MODEL)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def emitted(monkeypatch):
    """What is given to the compiler, which answers with an emission of whose kernels one failed."""
    given = []
    monkeypatch.setattr(capture, "emit", lambda *args, target: given.append((*args, target)) or emission())
    monkeypatch.setattr(capture, "check_emitted", lambda *args, target: 0.00025)
    return given


def test_kernels_are_shown_and_written(folder, emitted, capsys):
    assert main(["emit", "to_emit.py:build", "--target", "h200", "--out", "kernels", "--check"]) == 1
    first, *table, last = capsys.readouterr().out.splitlines()
    assert first == "interpreted, the kernels differ from eager by 0.00025 of the largest element at most"
    assert table == str(emission()).splitlines()
    assert last == "5 files are in kernels; begin with kernels/index.md"
    assert (folder / "kernels" / "wrapper.py").exists()
    ((step, inputs, labels, target),) = emitted
    assert (type(step).__name__, inputs.shape, labels.shape, target) == ("TrainStep", (6, 4), (6,), "h200")


def test_as_json(folder, emitted, capsys):
    assert main(["emit", "to_emit.py:build", "--target", "h200", "--out", "kernels", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["target"] == "h200"


def test_exit_code_0_where_all_compiled(folder, monkeypatch):
    fine = dataclasses.replace(emission(), kernels=emission().kernels[:2])
    monkeypatch.setattr(capture, "emit", lambda *_, target: fine)
    assert main(["emit", "to_emit.py:build", "--target", "h200"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["to_emit.py:build", "--target", "h20"], "target='h20' was passed."),
        (["to_emit.py:number", "--target", "h200"], "to_emit.py:number gave int 3."),
        (["to_emit.py:biuld", "--target", "h200"], "to_emit.py has no 'biuld'."),
        (["none.py:build", "--target", "h200"], "build names 'none.py', and there is no file"),
    ],
    ids=["target", "no tuple", "no such name", "no such file"],
)
def test_a_mistake_is_told(folder, capsys, arguments, message):
    assert main(["emit", *arguments]) == 1
    assert capsys.readouterr().err.startswith(f"tessera: {message}")
