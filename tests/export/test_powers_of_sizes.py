from __future__ import annotations

import operator

import pytest
import torch
from torch import Tensor, nn

from tessera.export.asked import read_example
from tessera.export.export import export
from tessera.export.powers_of_sizes import multiply_for_powers
from tessera.export.traced import traced


class Pairs(nn.Module):
    """A layer of every pair of places, and numbers made of a power of their count."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.stack([x[:, :, None] + x[:, None], x[:, :, None] * x[:, None]], -1)
        return self.layer(pairs).sum((1, 2)) / x.shape[1] ** 3


def test_the_same_without_powers():
    program = traced(*read_example(Pairs(), torch.randn(2, 5), ({0: "B", 1: "S"},)))
    module = program.module()
    assert any(node.target in (operator.pow, pow) for node in module.graph.nodes)
    assert multiply_for_powers(module).modified
    assert not any(node.target in (operator.pow, pow) for node in module.graph.nodes)
    assert not multiply_for_powers(module).modified
    x = torch.randn(3, 7)
    torch.testing.assert_close(module(x), program.module()(x))


@pytest.mark.filterwarnings("ignore")  # ExecuTorch's and torchao's own
def test_a_file_with_a_power_of_a_size(tmp_path):
    pytest.importorskip("executorch.exir")
    assert export(Pairs().eval(), tmp_path / "m.pte", torch.randn(2, 5), ({0: "B", 1: "S"},), measure=False).accepted
