from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.runtimes import NAMES, RUNTIMES
from tessera.export.export import export
from tessera.export.formats import format_of, missing_packages


class Masked(torch.nn.Module):
    def forward(self, input_ids, attention_mask):
        return (input_ids * attention_mask).float() / 2


@pytest.mark.parametrize(
    "ending", [".onnx", *(pytest.param(e, marks=pytest.mark.slow) for e in RUNTIMES if e != ".onnx")]
)
def test_inputs_go_where_they_belong(tmp_path, ending):
    if missing_packages(format_of(Path(f"m{ending}"))):
        pytest.skip("its packages are not installed")
    ids, mask = torch.arange(12).reshape(3, 4), torch.tensor([[1, 1, 0, 0]] * 3)
    report = export(Masked(), tmp_path / f"m{ending}", (ids, mask), dims=({}, {}), measure=False)
    call = RUNTIMES[ending](report.path)
    first, second = call(ids, mask), call(ids + 5, mask)
    torch.testing.assert_close(first, Masked()(ids, mask))
    torch.testing.assert_close(second, Masked()(ids + 5, mask))
    assert tuple(Masked.forward.__code__.co_varnames[1:3]) == NAMES
