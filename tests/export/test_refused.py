from __future__ import annotations

import pytest
import torch

from tessera.export.asked import read_example
from tessera.export.refused import refused
from tessera.export.traced import traced


class Model(torch.nn.Module):
    def forward(self, x):
        y = x * 2
        return torch.special.bessel_j0(y)


@pytest.mark.parametrize("said", ["No rule\n found for: aten.special_bessel_j0.default", "no aten::special_bessel_j0"])
def test_the_operator_and_its_line(said):
    flat, example = read_example(Model(), torch.ones(2, 2), None)
    error = refused(flat, traced(flat, example), "a format", RuntimeError(said))
    assert str(error).startswith(
        "Model could not be written for a format: no operator of it for aten.special_bessel_j0. A file is written when "
        "every operator of the model exists in its format. Write that part with other operators, or see which formats "
        "take it with tessera export --try-all.\n  at "
    )
    assert error.where.code == "return torch.special.bessel_j0(y)"


class Layer(torch.nn.Module):
    def forward(self, x):
        y = torch.addmm(x, x, x)
        return torch.add(y, torch.special.bessel_j0(x))


@pytest.mark.parametrize(
    ("said", "operator", "code"),
    [
        ("known are aten.cos, aten.sin; none for aten.special_bessel_j0.default", "aten.special_bessel_j0", "add(y, "),
        ("no aten.add.Tensor", "aten.add", "add(y, "),
        ("no aten.addmm", "aten.addmm", "addmm(x, "),
        ("no aten.erfinv, nor aten.cos", "aten.erfinv", None),
    ],
)
def test_at_fault_is_an_operator_of_the_model(said, operator, code):
    flat, example = read_example(Layer(), torch.ones(2, 2), {})
    error = refused(flat, traced(flat, example), "a format", RuntimeError(said))
    assert f"no operator of it for {operator}." in error.received
    assert (error.where is None) if code is None else (code in error.where.code)


def test_an_error_that_names_no_operator():
    flat, example = read_example(Model(), torch.ones(2, 2), None)
    error = refused(flat, traced(flat, example), "a format", RuntimeError("out of memory."))
    assert error.received == "Model could not be written for a format: out of memory."
    assert error.where is None
