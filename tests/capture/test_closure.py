from __future__ import annotations

import pytest
import torch

from tessera.capture.closure import needs_closure


@pytest.mark.parametrize(
    ("kind", "expected"), [(torch.optim.LBFGS, True), (torch.optim.SGD, False), (torch.optim.AdamW, False)]
)
def test_only_lbfgs_evaluates_the_loss_itself(kind, expected):
    assert needs_closure(kind([torch.nn.Parameter(torch.ones(1))])) is expected


def test_a_step_without_a_closure():
    class Plain(torch.optim.SGD):
        def step(self):
            return super().step()

    assert not needs_closure(Plain([torch.nn.Parameter(torch.ones(1))]))
