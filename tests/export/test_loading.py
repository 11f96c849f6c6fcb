from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import tessera
from tessera.errors import ArtefactError, ExportError, MissingDependencyError
from tessera.export import load_model
from tessera.export.export import export
from tessera.export.formats import format_of, missing_packages


def test_an_artefact_runs_without_its_model(tmp_path):
    net, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    report = export(net, tmp_path / "m.tessera", x, measure=False)
    run = load_model(str(report.path))
    for size in (1, 5):
        x = torch.randn(size, 3)
        (answer,) = run(x)
        torch.testing.assert_close(answer, net(x))


@pytest.mark.parametrize(("name", "error"), [("m.tessera", ArtefactError), ("m.pt2", ExportError)])
def test_a_damaged_file(tmp_path, name, error):
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(error):
        load_model(tmp_path / name)


@pytest.mark.parametrize("name", ["m.onnx", "m.pte"])
def test_what_runs_in_a_process_apart(tmp_path, name):
    if missing_packages(format_of(Path(name))):
        pytest.skip("its packages are not installed")

    class Two(torch.nn.Module):
        def forward(self, x, y):
            return x - 2 * y, x.sum(1)

    first, second = torch.randn(4, 3), torch.randn(4, 3)
    report = export(Two(), tmp_path / name, (first, second), measure=False)
    run = load_model(report.path)
    for size in (1, 5):
        x, y = torch.randn(size, 3), torch.randn(size, 3)
        for answer, expected in zip(run(x, y), Two()(x, y), strict=True):
            torch.testing.assert_close(answer, expected)
    with pytest.raises(ExportError, match="The runtime did not take this"):
        run(first)
    report.path.write_bytes(report.path.read_bytes()[:100])
    with pytest.raises(ExportError, match="The runtime did not take this"):
        load_model(report.path)


def test_load_says_which_door_it_is(tmp_path):
    report = export(torch.nn.Linear(3, 2), tmp_path / "m.tessera", torch.randn(4, 3), measure=False)
    with pytest.raises(ArtefactError, match=r"holds: exported model.*runs with tessera.load_model\(path\)"):
        tessera.load(report.path)
    assert tessera.load_model is load_model


def test_another_format():
    with pytest.raises(ExportError, match=r"'m.xml'. Tessera runs .tessera, .pt2, .onnx, .pte; the other formats"):
        load_model("m.xml")


def test_a_hash_for_a_file_without_code():
    with pytest.raises(ExportError, match="The hash is for files that hold compiled code: .tessera and .pt2."):
        load_model("m.onnx", trust="sha256:0")


def test_a_missing_runtime_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError) as error:
        load_model(tmp_path / "m.onnx")
    assert error.value.received == "m.onnx is to be run, and the package onnxruntime is not installed."
