"""Each export runs in a process apart: where the rewriting is missing, onnxruntime ends the process."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

_PROGRAM = """
import sys, torch, tessera
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(8, 4))
    def forward(self, x):
        return {forward}
model = Model().to(torch.{dtype})
x = torch.randn(2, 5, 8).to(torch.{dtype})
report = tessera.export(model, sys.argv[1], x, ({{0: "B", 1: "S"}},), measure=False)
print(report.accepted, sorted(report.operators.items()))
"""


def _exported(tmp_path, forward, dtype):
    program = textwrap.dedent(_PROGRAM.format(forward=forward, dtype=dtype))
    command = [sys.executable, "-c", program, str(tmp_path / "m.onnx")]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("forward", "dtype"),
    [
        ("x.transpose(0, 1) @ self.weight", "float16"),
        ("x.half().transpose(0, 1).float() @ self.weight", "float32"),
        pytest.param("(x.transpose(0, 1) @ self.weight) @ self.weight.T", "float16", marks=pytest.mark.slow),
        pytest.param("x.bfloat16().permute(1, 0, 2).float() @ self.weight", "float32", marks=pytest.mark.slow),
        pytest.param("x.transpose(0, 1) @ self.weight", "bfloat16", marks=pytest.mark.slow),
    ],
    ids=lambda each: each.replace("self.", ""),
)
def test_a_product_behind_a_transposition(tmp_path, forward, dtype):
    run = _exported(tmp_path, forward, dtype)
    assert run.returncode == 0, f"status {run.returncode}: {run.stderr[-1000:]}"
    assert run.stdout.startswith("True")


@pytest.mark.slow
def test_a_transposition_of_float32_is_left_where_it_is(tmp_path):
    onnx = pytest.importorskip("onnx")
    run = _exported(tmp_path, "x.transpose(0, 1) @ self.weight", "float32")
    assert run.stdout.strip() == "True [('MatMul', 1), ('Transpose', 1)]"
    assert [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node] == ["Transpose", "MatMul"]
