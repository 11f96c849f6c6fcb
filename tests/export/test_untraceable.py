from __future__ import annotations

import logging

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.asked import read_example
from tessera.export.traced import traced
from tessera.export.untraceable import fixed_sizes


class Viewing(torch.nn.Module):
    def forward(self, x, y):
        y = y + 1
        return x.sum() + y.view(2, 6)


class Looping(torch.nn.Module):
    def forward(self, x, y):
        for _ in range(len(y)):
            x = x * 2
        return x


@pytest.mark.parametrize(
    ("model", "line"), [(Viewing(), "return x.sum() + y.view(2, 6)"), (Looping(), "for _ in range(len(y)):")]
)
def test_the_size_and_the_line_that_fixes_it_are_named(model, line, capfd):
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    before = (logger.level, [*logger.handlers], logger.propagate)
    inputs = (torch.randn(5, 3), torch.randn(4, 3))
    flat, example = read_example(model, inputs, {"x": {0: "A"}, "y": {0: "B"}})
    with pytest.raises(ExportError) as error:
        traced(flat, example)
    name = type(model).__name__
    assert str(error.value).startswith(
        f"{name} takes one size only, where another was to be possible: B (dimension 0 of y) is fixed to 4. A size that"
    )
    assert error.value.where is not None
    assert (error.value.where.code, error.value.where.file) == (line, __file__)
    assert (logger.level, logger.handlers, logger.propagate) == before
    assert capfd.readouterr() == ("", "")


def test_another_error_fixes_no_size():
    _, example = read_example(torch.nn.Linear(3, 2), torch.randn(4, 3), None)
    assert fixed_sizes(RuntimeError("Could not guard on data-dependent expression"), example) == []
