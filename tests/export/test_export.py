from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.export import export
from tessera.train.fit import fit


def test_the_ending_chooses_the_format(tmp_path):
    module = torch.nn.Linear(3, 2)
    weights = export(module, tmp_path / "deep" / "model.safetensors")
    assert (weights.format, weights.path.exists()) == ("safetensors", True)
    onnx = export(module, str(tmp_path / "model.onnx"), torch.randn(4, 3))
    assert (onnx.format, onnx.path.exists()) == ("onnx", True)


@pytest.mark.parametrize(("name", "instead"), [("model.tflite", "model.onnx"), ("model", "model.onnx")])
def test_another_ending(tmp_path, name, instead):
    with pytest.raises(ExportError) as error:
        export(torch.nn.Linear(3, 2), tmp_path / name)
    assert str(error.value) == (
        f"The file to export to is {name!r}. The ending chooses the format: .onnx or .safetensors. "
        f"Write for example model.export({instead!r})."
    )


def test_a_trained_model_needs_no_example(tmp_path):
    module = torch.nn.Linear(3, 2)
    fit(module, (torch.randn(8, 3), torch.randn(8, 2)), optimizer=torch.optim.SGD(module.parameters(), lr=0.1))
    exported = export(module, tmp_path / "model.onnx")
    assert exported.accepted
    assert "batch 7" in exported.reason


def test_optional_packages_are_loaded_when_used():
    code = "import sys, tessera.export.export; print({'onnx', 'onnxruntime', 'onnxscript'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"
