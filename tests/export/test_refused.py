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


def test_an_error_that_names_no_operator():
    flat, example = read_example(Model(), torch.ones(2, 2), None)
    error = refused(flat, traced(flat, example), "a format", RuntimeError("out of memory."))
    assert error.received == "Model could not be written for a format: out of memory."
    assert error.where is None
