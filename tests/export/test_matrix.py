"""Architectures times formats: every cell is a checked file, or a refusal with a named cause.

The formats are those whose packages are installed. By default one text model and one image model are written as ONNX.
"""

from __future__ import annotations

import pytest
import torch

from tessera.export.export import export
from tessera.export.formats import all_formats, missing_packages
from tests.export.architectures import ARCHITECTURES

FORMATS = [form for form in all_formats() if form.load is not None and not missing_packages(form)]


@pytest.mark.parametrize("name", ["lstm", "moe"])
def test_small_ones_as_onnx(name, tmp_path):
    _cell(name, ".onnx", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.filterwarnings("ignore")  # transformers' and the runtimes' own
def test_every_cell(name, form, tmp_path):
    _cell(name, form.endings[0], tmp_path)


def _cell(name, ending, folder):
    torch.manual_seed(0)
    module, inputs, dims = ARCHITECTURES[name]()
    report = export(module, folder / f"model{ending}", inputs, dims, measure=False)
    assert report.accepted
    assert report.path.exists()
    assert report.max_error < 1e-3
