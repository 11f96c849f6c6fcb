"""Look-ups in a quantized table."""

from __future__ import annotations

import pytest
import torch

from tessera.quantize.formats import FORMATS
from tessera.quantize.layer import install
from tessera.quantize.quantized_tensor import Layout, quantize_tensor


@pytest.mark.parametrize("name", FORMATS)
def test_rows_are_those_of_the_weight(name):
    table = torch.nn.Embedding(10, 6, padding_idx=2)
    install(table, {"weight": quantize_tensor(table.weight, FORMATS[name], Layout("group", 4))})
    index = torch.tensor([[0, 9], [2, 4]])
    assert torch.equal(table(index), table.weight[index])
    assert not table(torch.tensor(2)).any()
