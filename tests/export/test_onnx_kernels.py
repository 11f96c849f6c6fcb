from __future__ import annotations

import pytest
import torch
from torch import nn

from tessera.export.export import export

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


class Half(nn.Module):
    """Products, a loop over time, functions that the runtime writes out itself."""

    def __init__(self):
        super().__init__()
        self.embedding, self.gru, self.norm = nn.Embedding(10, 8), nn.GRU(8, 8, batch_first=True), nn.LayerNorm(8)

    def forward(self, ids):
        y = self.norm(self.gru(self.embedding(ids))[0]).clamp(-1, 1).softmax(-1)
        return y, nn.functional.hardswish(y) + nn.functional.gelu(y), y.topk(2)[0]


def test_a_model_in_bfloat16_is_accepted(tmp_path):
    torch.manual_seed(0)
    ids = torch.randint(0, 10, (2, 5))
    report = export(Half().bfloat16(), tmp_path / "m.onnx", ids, ({0: "B", 1: "S"},), measure=False)
    assert report.accepted
    assert any("onnxruntime has no bfloat16 kernels" in note and "MatMul" in note for note in report.notes)


def test_weights_and_answers_stay_short(tmp_path):
    onnx = pytest.importorskip("onnx")
    module = nn.Linear(4, 3).bfloat16()
    export(module, tmp_path / "m.onnx", torch.randn(2, 4).bfloat16(), measure=False)
    graph = onnx.load(tmp_path / "m.onnx").graph
    short = onnx.TensorProto.BFLOAT16
    assert {each.data_type for each in graph.initializer} == {short}
    assert [each.type.tensor_type.elem_type for each in (*graph.input, *graph.output)] == [short, short]


def test_a_weight_is_cast_once_and_not_in_every_turn(tmp_path):
    onnx = pytest.importorskip("onnx")
    report = export(
        nn.GRU(3, 4).bfloat16(), tmp_path / "m.onnx", torch.randn(5, 2, 3).bfloat16(), ({0: "T"},), measure=False
    )
    assert report.accepted
    (scan,) = (node for node in onnx.load(tmp_path / "m.onnx").graph.node if node.op_type == "Scan")
    (body,) = (each.g for each in scan.attribute if each.name == "body")
    inside = {name for node in body.node for name in node.output} | {each.name for each in body.input}
    assert all(name in inside for node in body.node if node.op_type == "Cast" for name in node.input)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_small_integers_wrap_around_as_torchs_do(tmp_path, dtype):
    class Sums(nn.Module):
        def forward(self, x):
            return (x**2).cumsum(0, dtype=x.dtype)

    x = torch.arange(60).reshape(6, 10).to(getattr(torch, dtype))
    report = export(Sums(), tmp_path / "m.onnx", x, measure=False)
    assert report.max_error == 0.0
    (note,) = report.notes
    assert note == f"onnxruntime has no {dtype} kernels on processors for CumSum: those compute between casts."


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_the_runtime_can_is_left_alone(tmp_path, dtype):
    kind = getattr(torch, dtype)
    report = export(nn.Linear(4, 3).to(kind), tmp_path / "m.onnx", torch.randn(2, 4).to(kind), measure=False)
    assert report.notes == ()
    assert "Cast" not in report.operators
