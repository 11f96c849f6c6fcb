from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tessera.errors import ExportError, MissingDependencyError
from tessera.export.formats import ENDINGS, all_formats, format_of, missing_packages, require


def test_every_ending_is_its_formats():
    for ending in ENDINGS:
        assert ending in format_of(Path(f"model{ending}")).endings
    assert sorted(ending for form in all_formats() for ending in form.endings) == sorted(ENDINGS)


@pytest.mark.parametrize("name", ["model.h5", "model"])
def test_another_ending(name):
    with pytest.raises(ExportError) as error:
        format_of(Path(name))
    assert str(error.value) == (
        f"The file to export to is {name!r}. The ending chooses the format: {' or '.join(ENDINGS)}. "
        "Write for example model.export('model.onnx')."
    )


def test_a_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    form = format_of(Path("model.onnx"))
    assert missing_packages(form) == ["onnxscript"]
    with pytest.raises(MissingDependencyError) as error:
        require(form)
    assert str(error.value) == (
        "An export to ONNX was asked for, and the package onnxscript is not installed. "
        "Writing and checking ONNX needs onnx, onnxscript and onnxruntime. "
        "Install them with: pip install onnx onnxscript onnxruntime"
    )


def test_optional_packages_are_loaded_when_used():
    packages = {package for form in all_formats() for package in form.packages} - {"safetensors", "torch"}
    code = f"import sys, tessera.export.export; print({packages!r} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"


def test_a_formats_file_is_read_when_its_ending_is_asked_for():
    code = "import sys, tessera.export.export; print([n for n in sys.modules if n == 'tessera.export.onnx'])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
