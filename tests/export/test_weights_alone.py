from __future__ import annotations

import pytest
import torch
from torch import nn

from tessera.export.asked import read_example
from tessera.export.export import export
from tessera.export.traced import operators, traced


class Flow(nn.Module):
    """One step, its matrix a product of a weight and a buffer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3) + 0.1 * torch.randn(3, 3))
        self.register_buffer("order", torch.eye(3)[[2, 0, 1]])

    def forward(self, x):
        matrix = self.order @ self.weight
        sign, logarithm = torch.linalg.slogdet(matrix)
        return x @ matrix, logarithm * sign + torch.linalg.inv(matrix).sum()


def test_a_determinant_of_a_weight_is_a_constant():
    flow = Flow()
    flat, example = read_example(flow, torch.randn(4, 3), ({0: "B"},))
    program = traced(flat, example)
    assert not any("linalg" in name for name in operators(program))
    assert "aten.matmul" in operators(program)  # nothing but decompositions is computed before
    for batch in (4, 7):
        x = torch.randn(batch, 3)
        torch.testing.assert_close(program.module()(x), flow(x))


def test_a_table_of_places_is_a_constant():
    class Pairs(nn.Module):
        def forward(self, x):
            row, column = torch.tril_indices(3, 3, offset=-1)
            return x[:, row, column]

    flat, example = read_example(Pairs(), torch.randn(2, 3, 3), ({0: "B"},))
    program = traced(flat, example)
    assert "aten.tril_indices" not in operators(program)
    x = torch.randn(5, 3, 3)
    assert torch.equal(program.module()(x)[0], Pairs()(x))


def test_what_depends_on_an_input_or_on_what_is_changed_stays():
    class Changes(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.eye(3))

        def forward(self, x):
            self.seen.add_(x)
            return torch.linalg.inv(self.seen), torch.linalg.det(x)

    flat, example = read_example(Changes(), torch.eye(3), ({},))
    names = operators(traced(flat, example))
    assert {"aten.linalg_inv", "aten.linalg_det"} <= set(names)


def test_an_orthogonal_layer_becomes_a_file(tmp_path):
    for package in ("onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4), orthogonal_map="matrix_exp")
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    assert export(layer, tmp_path / "m.onnx", torch.randn(2, 4), measure=False).accepted
    assert all(torch.equal(tensor, before[name]) for name, tensor in layer.state_dict().items())
