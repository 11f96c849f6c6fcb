"""Measurements on the user's data."""

from __future__ import annotations

import math

import torch

from tessera.quantize.measurement import output_error, speed
from tessera.train.batches import Batch


class Several(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return {"scores": (x * self.factor, [x]), "labels": x.long(), "nothing": None}


def test_error_of_all_outputs_together():
    x = torch.ones(4)
    found = output_error(Several(1.0), Several(1.1), [Batch((x,), None)])
    assert math.isclose(found, 0.1 / math.sqrt(2), rel_tol=1e-5)


def test_models_without_numbers_have_no_error():
    assert output_error(torch.nn.Identity(), torch.nn.Identity(), [Batch((torch.arange(3),), None)]) == 0


def test_speed_is_measured_in_turn_and_leaves_modes():
    before, after = torch.nn.Linear(4, 4), torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(60)])
    found = speed(before, after, Batch((torch.randn(2, 4),), None), "eager")
    assert found.runs >= 3
    assert found.before < found.after
    assert before.training
