from __future__ import annotations

import pytest
import torch
from torch import nn

from tessera.export.asked import read_example
from tessera.export.export import export
from tessera.export.plain_operators import grouped_product, histogram, running_product
from tessera.export.traced import operators, traced


@pytest.mark.parametrize("ends", [(2, 2, 5, 7), (0, 0, 0, 7), (7, 7, 7, 7)])
def test_each_row_is_multiplied_with_the_matrix_of_its_group(ends):
    x, weights = torch.randn(7, 5), torch.randn(4, 5, 3)
    found = grouped_product(x, weights, torch.tensor(ends, dtype=torch.int32))
    start = 0
    for weight, end in zip(weights, ends, strict=True):
        torch.testing.assert_close(found[start:end], x[start:end] @ weight)
        start = end


def test_what_stands_in_other_rows_does_not_reach_a_row():
    x = torch.tensor([[torch.nan, torch.inf], [1.0, 2.0]])
    found = grouped_product(x, torch.ones(2, 2, 2), torch.tensor([1, 2]))
    assert found[1].tolist() == [3.0, 3.0]


def test_other_grouped_products_are_left():
    x, weights = torch.randn(7, 5), torch.randn(4, 5, 3)
    assert grouped_product(x[None], weights, torch.tensor([7])) is NotImplemented
    assert grouped_product(x, weights) is NotImplemented
    assert grouped_product(x, weights, torch.tensor([7] * 4), torch.ones(3)) is NotImplemented


@pytest.mark.parametrize(("bins", "low", "high"), [(8, 0, 7), (128, 0, 127), (7, -1.5, 2.25)])
def test_a_histogram_counts_as_torchs(bins, low, high):
    for x in (torch.arange(-2, bins + 2).float(), torch.randn(20, 50) * 2):
        assert torch.equal(histogram(x, bins, low, high), torch.histc(x, bins, low, high))
    assert histogram(x, bins) is NotImplemented


@pytest.mark.parametrize("dim", [0, -1])
@pytest.mark.parametrize("length", [1, 5, 8])
def test_a_running_product(dim, length):
    x = torch.randn(length, 3, length)
    x[0, 0, 0] = 0
    torch.testing.assert_close(running_product(x, dim), x.cumprod(dim))
    assert torch.equal(running_product(x.long(), dim), x.long().cumprod(dim))


class Routed(nn.Module):
    """Tokens sorted by their expert, one grouped product, and put back."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.weight = nn.Parameter(torch.randn(4, 8, 8) / 3)

    def forward(self, x):
        flat = x.flatten(0, 1)
        expert, order = self.gate(flat).argmax(-1).sort()
        ends = torch.histc(expert.float(), 4, 0, 3).cumsum(0).to(torch.int32)
        found = torch.nn.functional.grouped_mm(flat[order], self.weight, offs=ends)
        return torch.empty_like(found).index_put((order,), found).view(x.shape)


@pytest.mark.skipif(not hasattr(nn.functional, "grouped_mm"), reason="this torch has no grouped product")
def test_tokens_that_go_to_experts(tmp_path):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8)
    flat, example = read_example(Routed().eval(), x, ({0: "B", 1: "S"},))
    names = operators(traced(flat, example))
    assert not {"aten._grouped_mm", "aten.histc"} & set(names)
    assert export(Routed(), tmp_path / "m.onnx", x, ({0: "B", 1: "S"},), measure=False).accepted
