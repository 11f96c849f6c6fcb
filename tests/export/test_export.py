from __future__ import annotations

import dataclasses
import os
import sys

import onnx
import pytest
import torch

from tessera.errors import ExportError
from tessera.export.export import export
from tessera.export.format import Format, Written
from tessera.train.fit import fit

X = torch.randn(4, 3)


def _write(flat, example, path, options):
    torch.save(flat.module.state_dict(), path)
    path.with_name(path.name + ".beside").write_bytes(b"beside")
    return Written(operators={"linear": 1}, notes=["A note."])


@pytest.fixture
def fake(monkeypatch):
    """A format whose runtime is the model itself, with an error that a test may ask for."""
    module = torch.nn.Linear(3, 2)

    def load(path):
        module.load_state_dict(torch.load(path, weights_only=True))
        return lambda case: [module(case.tensors[0]).detach() + load.error]

    load.error = 0.0
    form = Format(name="Fake", endings=(".fake",), packages=(), install="", write=_write, load=load)
    monkeypatch.setattr(sys.modules["tessera.export.export"], "format_of", lambda path: form)
    load.form = form
    return load


def test_a_file_and_what_lies_beside_it(tmp_path, fake):
    report = export(torch.nn.Linear(3, 2), str(tmp_path / "deep" / "m.fake"), X, measure=False)
    assert (report.path, report.format, report.accepted) == (tmp_path / "deep" / "m.fake", "Fake", True)
    assert sorted(file.name for file in report.path.parent.iterdir()) == ["m.fake", "m.fake.beside"]
    assert report.size == sum(file.stat().st_size for file in report.path.parent.iterdir())
    assert (report.operators, report.notes) == ({"linear": 1}, ("A note.",))
    assert "batch 11" in report.reason


def test_a_file_that_disagrees_has_another_name(tmp_path, fake):
    fake.error = 1.0
    module = torch.nn.Linear(3, 2)
    with pytest.raises(ExportError, match="which does not agree with it. With batch 4 its answers are 1 away") as error:
        export(module, tmp_path / "m.fake", X)
    assert str(tmp_path / "m.fake.rejected") in str(error.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.fake.beside.rejected", "m.fake.rejected"]
    assert module.training


@pytest.mark.parametrize("part", ["write", "load"])
def test_a_writer_that_fails_leaves_nothing(tmp_path, fake, monkeypatch, part):
    def broken(flat, example, path, options):
        path.write_bytes(b"half a fi")
        raise RuntimeError("no such operator\nadvice")

    def unreadable(path):
        raise RuntimeError("no such operator\nadvice")

    form = dataclasses.replace(fake.form, **{part: broken if part == "write" else unreadable})
    monkeypatch.setattr(sys.modules["tessera.export.export"], "format_of", lambda path: form)
    with pytest.raises(ExportError, match="no such operator"):
        export(torch.nn.Linear(3, 2), tmp_path / "m.fake", X)
    assert not (tmp_path / "m.fake").exists()
    assert not [file for file in tmp_path.iterdir() if part == "write"]


def test_a_format_of_fixed_sizes_says_so(tmp_path, fake, monkeypatch):
    form = dataclasses.replace(fake.form, takes_dynamic=False)
    monkeypatch.setattr(sys.modules["tessera.export.export"], "format_of", lambda path: form)
    report = export(torch.nn.Linear(3, 2), tmp_path / "m.fake", X, measure=False)
    assert "Fake has fixed sizes: this file takes batch 4 and nothing else." in report.notes
    assert report.reason.endswith("(the example).")


def test_what_is_no_tensor_is_not_in_the_file(tmp_path, fake):
    class WithCache(torch.nn.Linear):
        def forward(self, x):
            return {"y": super().forward(x), "cache": object()}

    report = export(WithCache(3, 2), tmp_path / "m.fake", X, measure=False)
    assert "Not in the file, because it is no tensor: cache (object)." in report.notes


def test_an_option_that_the_format_has_not(tmp_path, fake):
    with pytest.raises(ExportError) as error:
        export(torch.nn.Linear(3, 2), tmp_path / "m.fake", X, opset=18)
    assert str(error.value) == "opset=18 was passed for 'm.fake'. Fake has no options. Leave opset out."


def test_weights_are_inside_or_beside(tmp_path):
    with pytest.raises(ExportError, match="weights='near' was passed"):
        export(torch.nn.Linear(3, 2), tmp_path / "m.onnx", X, weights="near")


@pytest.mark.parametrize("what", ["a folder", "below a file"])
def test_a_path_that_cannot_be_written(tmp_path, fake, what):
    (tmp_path / "m.fake").mkdir()
    (tmp_path / "file").write_bytes(b"mine")
    path = tmp_path / ("m.fake" if what == "a folder" else "file/m.fake")
    with pytest.raises(ExportError, match="cannot be written") as error:
        export(torch.nn.Linear(3, 2), path, X)
    assert error.value.fix == "Write a path in a folder of yours."
    assert sorted(os.listdir(tmp_path)) == ["file", "m.fake"]  # noqa: PTH208 - names


def test_the_speed_is_measured_where_it_is_asked_for(tmp_path, fake):
    assert list(export(torch.nn.Linear(3, 2), tmp_path / "m.fake", X).milliseconds) == ["file", "eager", "compiled"]
    assert export(torch.nn.Linear(3, 2), tmp_path / "m.fake", X, measure=False).milliseconds == {}


def test_a_trained_model_needs_no_example(tmp_path, fake):
    module = torch.nn.Linear(3, 2)
    fit(module, (torch.randn(8, 3), torch.randn(8, 2)), optimizer=torch.optim.SGD(module.parameters(), lr=0.1))
    assert export(module, tmp_path / "m.fake", measure=False).accepted


def test_the_ending_chooses_the_format(tmp_path):
    assert export(torch.nn.Linear(3, 2), tmp_path / "m.safetensors").format == "safetensors"
    with pytest.raises(ExportError, match="The ending chooses the format"):
        export(torch.nn.Linear(3, 2), tmp_path / "m.h5")


def test_preprocessing_is_in_the_file_and_in_eval_mode(tmp_path):
    preprocessing = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout())
    module = torch.nn.Linear(6, 2)
    images = torch.randn(4, 2, 3)
    report = export(module, tmp_path / "m.onnx", images, preprocessing=preprocessing, measure=False)
    assert report.accepted
    assert [part.training for part in (module, *preprocessing)] == [True, True, True]


def test_a_length_that_is_computed_from_another(tmp_path):
    class Pairs(torch.nn.Module):
        def forward(self, x, y):
            return x + y.unflatten(-1, (-1, 2)).sum(-1)

    dims = {"x": {0: "B", 1: "S"}, "y": {0: "B", 1: "2*S"}}
    report = export(Pairs(), tmp_path / "m.onnx", (torch.randn(2, 3), torch.randn(2, 6)), dims, measure=False)
    assert "B 2, S 9" in report.reason
    inputs = onnx.load(report.path).graph.input
    assert [each.dim_param for each in inputs[1].type.tensor_type.shape.dim] == ["B", "2*S"]
