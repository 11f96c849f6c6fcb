from __future__ import annotations

import torch

from tessera.export.asked import read_example
from tessera.export.speed import milliseconds


def test_the_file_the_model_and_the_compiled_model_are_measured():
    flat, example = read_example(torch.nn.Linear(3, 2).eval(), torch.randn(4, 3), None)
    answered = []
    found = milliseconds(flat, lambda case: answered.append(case) or list(flat(*case.tensors)), example)
    assert list(found) == ["file", "eager", "compiled"]
    assert all(0 < each < 1e4 for each in found.values())
    assert all(case is example for case in answered)
