from __future__ import annotations

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.asked import read_example
from tessera.export.stateless import changed_buffers, check_no_state
from tessera.export.traced import traced


class Counts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("scale", torch.ones(3))

    def forward(self, x):
        self.calls += 1
        return x * self.scale + self.calls


def call(module):
    flat, example = read_example(module.eval(), torch.randn(2, 3), None)
    return flat, traced(flat, example)


def test_a_buffer_that_is_read_is_no_state():
    norm = torch.nn.BatchNorm1d(3)
    flat, program = call(norm)
    assert changed_buffers(program) == []
    check_no_state(flat, program, "TFLite")


def test_a_buffer_that_changes_is_named():
    flat, program = call(Counts())
    with pytest.raises(ExportError) as error:
        check_no_state(flat, program, "TFLite")
    assert str(error.value) == (
        "Counts changes its buffers in a call: calls. "
        "A file of TFLite keeps nothing from one call to the next, so the second call would be wrong. "
        "Give such state to forward as an argument and return it, or export to .pte, which keeps it."
    )
