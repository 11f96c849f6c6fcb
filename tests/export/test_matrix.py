"""Architectures times formats: every cell is a file that holds beyond its check, or a refusal with a named cause.

``python -m tests.export.matrix`` prints the table. By default two small models are written as ONNX.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tessera.export.formats import format_of, missing_packages
from tests.export import cells
from tests.export.architectures import ARCHITECTURES
from tests.export.cells import PASSED, REFUSED, WRONG, Cell, run_cell
from tests.export.further_architectures import FURTHER
from tests.export.matrix import ENDINGS, as_table, in_process
from tests.export.newcomers.listed import NEWCOMERS
from tests.export.stranger_architectures import STRANGERS

# What refuses, and the cause that it names: recurrences that are a loop in Python over the time; a bag of embeddings,
# and a mean that ExecuTorch does not resize for a batch of one.
REFUSALS = {
    (name, ending): "S (dimension 1 of input_ids) is fixed to 6" for name in ("mamba", "rwkv") for ending in ENDINGS
}
REFUSALS |= {("recommender", ".pte"): "no operator of it for aten._embedding_bag", ("informer", ".pte"): "op_mean.cpp"}


@pytest.mark.parametrize("name", ["lstm", "moe"])
def test_small_ones_as_onnx(name):
    assert run_cell(name, ".onnx").outcome == PASSED


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", [*ARCHITECTURES, *FURTHER, *STRANGERS, *NEWCOMERS])
def test_every_cell(name, ending):
    if missing := missing_packages(format_of(Path(f"model{ending}"))):
        pytest.skip(f"{', '.join(missing)} is not installed")
    pytest.importorskip("transformers")
    (cell,) = in_process([name], ending)
    if (name, ending) in REFUSALS:
        assert (cell.outcome, REFUSALS[name, ending] in cell.detail) == (REFUSED, True), cell.detail
    else:
        assert cell.outcome == PASSED, cell.detail


def test_nearly_all_cells_are_expected_to_pass():
    total = len(ENDINGS) * len(ARCHITECTURES)
    assert sum(name in ARCHITECTURES for name, _ in REFUSALS) <= 0.05 * total
    for further in (FURTHER, STRANGERS, NEWCOMERS):
        assert sum(name in further for name, _ in REFUSALS) <= 0.15 * len(ENDINGS) * len(further)


@pytest.mark.parametrize("wrong", [lambda y: y + 0.01, lambda y: y[:1]], ids=["another answer", "another shape"])
def test_a_file_that_is_wrong_beyond_its_check_is_found(monkeypatch, wrong):
    def faulty(path):
        run = cells._onnx(path)
        return lambda names, tensors: [wrong(answer) for answer in run(names, tensors)]

    monkeypatch.setitem(cells.RUNTIMES, ".onnx", faulty)
    assert run_cell("mlp", ".onnx").outcome == WRONG


def test_a_refusal_is_told_with_its_line(monkeypatch):
    class Unknown(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x)

    monkeypatch.setitem(cells.ALL, "unknown", lambda: (Unknown(), (torch.eye(2)[None],), ({},)))
    cell = run_cell("unknown", ".onnx")
    assert cell.outcome == REFUSED
    assert "return torch.linalg.eigvals(x)" in cell.detail


def test_a_cell_that_dies_is_wrong_and_the_rest_goes_on(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nif 'dies' in sys.argv:\n    os._exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    dead, alive = in_process(["dies", "mlp"], ".onnx")
    assert (dead.outcome, dead.detail) == (WRONG, "status 3: ")
    assert (alive.name, alive.outcome) == ("mlp", PASSED)


def test_the_table():
    found = [Cell("a", ".onnx", PASSED, "fine", 1.0), Cell("a", ".pte", REFUSED, "no kernel", 1.0)]
    assert as_table(found) == (
        "     .onnx     .pte\na   passed  refused\n2 cells: 1 passed, 1 refused, 0 WRONG (50% pass)\na .pte: no kernel"
    )
