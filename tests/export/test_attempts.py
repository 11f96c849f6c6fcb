from __future__ import annotations

import sys

import pytest
import torch

from tessera.export import attempts
from tessera.export.attempts import Attempt, table, try_all
from tessera.export.formats import format_of


@pytest.fixture(autouse=True)
def two_formats(monkeypatch, tmp_path):
    forms = [format_of(tmp_path / name) for name in ("m.onnx", "m.safetensors")]
    monkeypatch.setattr(attempts, "all_formats", lambda: forms)


def test_what_every_format_says():
    class Branching(torch.nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x

    onnx, weights = try_all(Branching(), torch.randn(4, 3))
    assert (onnx.format, onnx.accepted) == ("ONNX (.onnx)", False)
    assert onnx.reason.startswith("Branching could not be traced: ")
    assert "test_attempts.py" in onnx.reason
    assert "return x * 2 if x.sum() > 0 else x" in onnx.reason
    assert (weights.accepted, weights.max_error) == (True, 0.0)


def test_what_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    onnx, _ = try_all(torch.nn.Linear(3, 2), torch.randn(4, 3))
    assert (onnx.accepted, onnx.reason) == (None, "pip install onnx onnxscript onnxruntime")


def test_as_a_table():
    tried = [Attempt("ONNX (.onnx)", True, "It agrees.", 0.0), Attempt("LiteRT (.tflite)", None, "pip install x")]
    assert table(tried) == (
        "ONNX (.onnx)      yes            It agrees.\nLiteRT (.tflite)  not installed  pip install x"
    )
