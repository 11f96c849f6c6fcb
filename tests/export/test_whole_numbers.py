"""Functions of whole numbers in files that were written with small ones, at numbers that are hard for them."""

from __future__ import annotations

import pytest
import torch

from tessera.export.formats import format_of, missing_packages
from tests.export.cells import WRONG
from tests.export.whole_numbers.cells import judged
from tests.export.whole_numbers.table import TYPES, families

pytestmark = pytest.mark.filterwarnings("ignore")  # ExecuTorch's and torchao's own
ROWS = [(dtype, family) for dtype in TYPES for family in families(dtype)]


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "family"), ROWS, ids=[f"{dtype}-{family}" for dtype, family in ROWS])
@pytest.mark.parametrize("ending", [".onnx", ".pte"])
def test_right_or_refused(tmp_path, ending, dtype, family):
    hold(tmp_path, ending, dtype, family)


@pytest.mark.slow
@pytest.mark.parametrize("family", families(torch.int64))
def test_right_or_refused_compiled(tmp_path, family):
    hold(tmp_path, ".pt2", torch.int64, family)


def hold(tmp_path, ending, dtype, family):
    if missing := missing_packages(format_of(tmp_path / f"m{ending}")):
        pytest.skip(f"{', '.join(missing)} is not installed")
    assert [cell for cell in judged(ending, dtype, family) if cell.outcome == WRONG] == []
