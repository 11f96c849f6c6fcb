from __future__ import annotations

import sys
import types

import onnxruntime
import pytest
import torch

from tessera.errors import ExportError, MissingDependencyError
from tessera.export.asked import read_example
from tessera.export.export import export
from tessera.export.format import Options
from tessera.export.tensorrt import command, profile, write_engine

X = torch.randn(4, 3)


@pytest.fixture(autouse=True)
def no_tensorrt(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)


def test_without_tensorrt_the_file_made_for_it_is_written(tmp_path):
    path = tmp_path / "m.tensorrt"
    with pytest.raises(MissingDependencyError) as error:
        export(torch.nn.Linear(3, 2), path, X, {"input": {0: torch.export.Dim("B", max=64)}})
    assert str(error.value) == (
        "'m.tensorrt' was asked for, and tensorrt is not installed: no engine was written, and none was tested. "
        f"{tmp_path / 'm.onnx'} was written for it and agrees with the model in onnxruntime; an engine is built on the "
        "machine with the GPU that it is for. Run there: trtexec --onnx=m.onnx --saveEngine=m.tensorrt "
        "--minShapes=input:1x3 --optShapes=input:4x3 --maxShapes=input:64x3"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    assert onnxruntime.InferenceSession(tmp_path / "m.onnx").get_inputs()[0].shape == ["B", 3]


def test_an_operator_that_is_not_documented_is_named_with_its_line(tmp_path):
    class Unique(torch.nn.Module):
        def forward(self, x):
            return torch.bitwise_and(x, 3)

    with pytest.raises(
        ExportError, match="BitwiseAnd is not among the operators that TensorRT's parser documents"
    ) as e:
        export(Unique(), tmp_path / "m.engine", torch.arange(6).reshape(2, 3))
    assert e.value.where is not None
    assert e.value.where.code == "return torch.bitwise_and(x, 3)"
    assert list(tmp_path.iterdir()) == []


def test_profiles_and_the_command():
    class Two(torch.nn.Module):
        def forward(self, x, y):
            return x + y

    _, example = read_example(Two(), (X, X[:1]), {"x": {0: "B", 1: "S"}, "y": {1: "S"}})
    assert profile(example) == {"x": ((1, 1), (4, 3), (16, 12)), "y": ((1, 1), (1, 3), (1, 12))}
    smaller = torch.export.Dim("B", min=2, max=9)
    _, bounded = read_example(Two(), (X, X[:1]), {"x": {0: smaller}, "y": {}})
    assert profile(bounded) == {"x": ((2, 3), (4, 3), (9, 3))}
    assert command("m.onnx", "m.engine", example) == (
        "trtexec --onnx=m.onnx --saveEngine=m.engine --minShapes=x:1x1,y:1x1 --optShapes=x:4x3,y:1x3 "
        "--maxShapes=x:16x12,y:1x12"
    )
    assert command("m.onnx", "m.engine", example.fixed()) == "trtexec --onnx=m.onnx --saveEngine=m.engine"


@pytest.mark.parametrize("parses", [True, False])
def test_an_engine_is_built_where_tensorrt_is_there(tmp_path, monkeypatch, parses):
    """TensorRT cannot be installed everywhere: this shows what is asked of it, not what it does."""
    shapes = {}

    class Anything:
        num_errors = 1

        def __init__(self, *_):
            pass

        def __getattr__(self, _):
            return Anything

        def parse_from_file(self, path):
            return parses

        def get_error(self, _):
            return "no such layer"

        def set_shape(self, name, *three):
            shapes[name] = three

        def build_serialized_network(self, *_):
            return b"engine"

    fake = types.ModuleType("tensorrt")
    fake.Builder = fake.OnnxParser = Anything
    fake.Logger = fake.BuilderFlag = types.SimpleNamespace
    fake.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, _: None})
    fake.BuilderFlag = type("BuilderFlag", (), {"TF32": 1})
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    flat, example = read_example(torch.nn.Linear(3, 2), X, None)
    if not parses:
        with pytest.raises(ExportError, match="could not be made a TensorRT engine: no such layer"):
            write_engine(flat, example, tmp_path / "m.engine", Options())
        return
    write_engine(flat, example, tmp_path / "m.engine", Options())
    assert (tmp_path / "m.engine").read_bytes() == b"engine"
    assert shapes == {"input": ((1, 3), (4, 3), (16, 3))}
