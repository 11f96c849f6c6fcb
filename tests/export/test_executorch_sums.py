from __future__ import annotations

import pytest
import torch
from torch import nn

from tessera.export.export import export
from tessera.export.loading import load_model


class Sums(nn.Module):
    """Along each dimension, kept and not, in the numbers' own type and in another; and within other operators."""

    def forward(self, a, x):
        whole = a.sum(1), a.sum(0, keepdim=True), a[..., None].sum(-3), a.int().sum(1, dtype=torch.int32)
        return *whole, (a > 3).sum(1), x.sum(-1), x.norm(dim=1), (x / 2**30).logsumexp(1), x.float().sum(1)


@pytest.mark.filterwarnings("ignore")  # ExecuTorch's and torchao's own
def test_sums_are_those_of_the_type(tmp_path):
    pytest.importorskip("executorch")
    example = torch.arange(12).view(4, 3)
    report = export(Sums(), tmp_path / "m.pte", (example, example.double() / 3), ({}, {}), measure=False)
    a = torch.tensor([[2**24 + 1, 2, 2**24 + 1], [2**53 + 1, 2, 4], [-(2**62) - 1, 7, -3], [2**31 - 1, 1, 1]])
    x = (a & 0xFFFFFFFF).double() / 3
    for ours, theirs in zip(Sums()(a, x), load_model(report.path)(a, x), strict=True):
        near = 1e-6 if ours.dtype == torch.float32 else 1e-14 * ours.is_floating_point()
        torch.testing.assert_close(theirs, ours, rtol=near, atol=0)
