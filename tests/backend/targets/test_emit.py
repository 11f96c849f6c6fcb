from __future__ import annotations

import importlib.util
import json
import subprocess

import pytest
import torch

from tessera.backend.targets.emit import emit_programs, run_child
from tessera.errors import ExportError, MissingDependencyError, SettingError
from tests.backend.hand_made import program


def made():
    return program(lambda a: (a.sin() + 1,), torch.ones(4))


def test_an_unknown_target_comes_before_anything_else():
    with pytest.raises(SettingError, match='Write target="h100"'):
        emit_programs([made()], "h-100")


def test_without_triton_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError) as raised:
        emit_programs([made()], "h100")
    assert str(raised.value) == (
        "target='h100' was passed, and Triton is not installed. "
        "Kernels for a GPU are compiled by Triton, which needs no GPU for it. "
        "Install it with Tessera: pip install 'tessera[triton]'."
    )


def test_what_the_child_refuses_is_raised_here(tmp_path, monkeypatch):
    where = {"file": "model.py", "line": 3, "code": "x"}
    told = {"received": "This.", "expected": "That.", "fix": "Do it.", "where": where}
    (tmp_path / "error.json").write_text(json.dumps(told))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    with pytest.raises(ExportError) as raised:
        run_child(tmp_path, "step", "h100")
    assert str(raised.value) == "This. That. Do it.\n  at model.py:3  x"


def test_a_child_that_breaks_is_told_with_all_that_it_said(tmp_path):
    with pytest.raises(ExportError, match="step could not be emitted for h100: FileNotFoundError") as raised:
        run_child(tmp_path, "step", "h100")
    assert "Traceback" in raised.value.__notes__[0]
