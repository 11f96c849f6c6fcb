from __future__ import annotations

import sys

import pytest

from tessera.cli.main import main
from tessera.export import attempts
from tessera.export.formats import format_of

MODEL = """
import torch

class Sum(torch.nn.Module):
    def forward(self, x, y=None):
        return x.exp() + (0 if y is None else y)

def build():
    return Sum(), torch.randn(4, 3)

def two():
    return Sum(), torch.randn(4, 3), torch.randn(4, 3)

def with_dims():
    return Sum(), {"x": torch.randn(4, 3)}, {"x": {1: "S"}}

def number():
    return 3
"""


@pytest.fixture
def folder(project, monkeypatch):
    (project / "to_export.py").write_text(MODEL)
    monkeypatch.chdir(project)
    return project


@pytest.mark.parametrize(
    ("name", "options", "sizes"),
    [
        ("build", [], "batch 4; batch 1"),
        ("two", [], "batch 4; batch 1"),
        ("with_dims", [], "S 3; S 1"),
        ("build", ["--dim", "x:0=B", "--dim", "x:-1=S"], "B 4, S 3; B 1, S 3"),
    ],
)
def test_a_file_is_written_and_checked(folder, capsys, name, options, sizes):
    assert main(["export", f"to_export.py:{name}", "out/m.onnx", *options]) == 0
    printed = capsys.readouterr().out
    assert "out/m.onnx (ONNX, " in printed
    assert sizes in printed
    assert (folder / "out" / "m.onnx").exists()


def test_every_format_is_tried_and_no_file_kept(folder, capsys, monkeypatch):
    forms = [format_of(folder / name) for name in ("m.onnx", "m.safetensors")]
    monkeypatch.setattr(attempts, "all_formats", lambda: forms)
    before = sorted(folder.rglob("*.*"))
    assert main(["export", "--try-all", "to_export.py:build"]) == 0
    onnx, weights = capsys.readouterr().out.splitlines()
    assert onnx.startswith("ONNX (.onnx)                yes  Its answers differ")
    assert weights.startswith("safetensors (.safetensors)  yes  What was read back")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", "--try-all", "to_export.py:build"]) == 0
    assert "not installed  pip install onnx onnxscript onnxruntime" in capsys.readouterr().out
    assert [file for file in sorted(folder.rglob("*.*")) if file.suffix != ".pyc"] == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["to_export.py:build"], "tessera export was called with no file. It writes one file, or tries all formats"),
        (["--try-all", "to_export.py:build", "m.onnx"], "tessera export was called with --try-all and a file. "),
        (["to_export.py:number", "m.onnx"], "to_export.py:number gave int 3. It names a model, or a function"),
        (["to_export.py:build", "m.onnx", "--dim", "x=B"], "--dim x=B was passed. It names an input, a dimension"),
        (["to_export.py:build", "m.h5"], "The file to export to is 'm.h5'. The ending chooses the format"),
    ],
)
def test_bad_input(folder, capsys, arguments, message):
    assert main(["export", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not list(folder.glob("m.*"))
