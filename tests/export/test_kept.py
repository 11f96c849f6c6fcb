from __future__ import annotations

import copy
import importlib

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.asked import read_example
from tessera.export.export import export
from tessera.export.format import Format, Written
from tessera.export.kept import InARow

X = torch.randn(4, 3)


class Cache(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.full((3,), 2.0))

    def forward(self, x):
        self.total = self.total + x.sum(0)
        return x * self.total


def test_calls_in_a_row_leave_the_model_as_it_was():
    model, twin = Cache(), Cache()
    flat, example = read_example(model, X, None)
    before = model.total
    found = InARow(flat.keeping(["total"]))(*example.tensors)
    torch.testing.assert_close(list(found), [twin(X) for _ in range(3)])
    assert model.total is before
    assert before.tolist() == [2, 2, 2]


def remembers(model):
    twin = copy.deepcopy(model)
    return lambda example: list(twin(*example.tensors))


def forgets(model):
    return lambda example: list(copy.deepcopy(model)(*example.tensors))


def never_begins_anew(model):
    return lambda example: list(model(*example.tensors))


@pytest.mark.parametrize("loaded", [remembers, forgets, never_begins_anew])
def test_a_file_is_asked_several_times_in_a_row(tmp_path, monkeypatch, loaded):
    """A format whose file is the model itself."""
    files = {}

    def write(flat, example, path, options):
        files[path] = copy.deepcopy(flat)
        path.write_bytes(b"model")
        return Written()

    form = Format(
        name="Fake",
        endings=(".fake",),
        packages=("torch",),
        install="",
        write=write,
        load=lambda path: loaded(files[path]),
        keeps_state=True,
    )
    monkeypatch.setattr(importlib.import_module("tessera.export.export"), "format_of", lambda _: form)
    model = Cache()
    if loaded is remembers:
        report = export(model, tmp_path / "m.fake", X, measure=False)
        assert "It keeps total from call to call, and begins with the values of now." in report.notes
    else:
        with pytest.raises(ExportError, match="does not agree with it"):
            export(model, tmp_path / "m.fake", X, measure=False)
    assert model.total.tolist() == [2, 2, 2]
