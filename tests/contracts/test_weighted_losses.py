"""Every weighted loss in a whole-step program: the values and the weights of eager, one program for all weights."""

from __future__ import annotations

import copy

import pytest
import torch

from tessera.capture.train_step import train_step
from tessera.nn.losses import LOSSES, weighted_loss
from tests.nn.losses.references import REFERENCES

BY_CLASS, BINARY = ("auto", "cross_entropy", "nll", "focal"), ("bce", "bce_with_logits", "sigmoid_focal")
CLASS_WEIGHTS = {**{name: [1.0, 0.0, 2.0, 0.5] for name in BY_CLASS}, **{name: {1: 3.0} for name in BINARY}}


class Shift(torch.nn.Module):
    """Gives a gradient to whatever the loss takes as prediction."""

    def __init__(self, prediction):
        super().__init__()
        self.by = torch.nn.Parameter(torch.zeros(prediction.shape[1:]))

    def forward(self, x):
        return x + self.by


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_by_name(name):
    prediction, target = REFERENCES[name].data()
    check(weighted_loss(name, CLASS_WEIGHTS.get(name)), prediction, target)


@pytest.mark.parametrize(
    "loss",
    [
        torch.nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 0.5, 2.0, 0.0])),
        pytest.param(torch.nn.HuberLoss(delta=0.3), marks=pytest.mark.slow),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_of_torchs(loss):
    name = "cross_entropy" if isinstance(loss, torch.nn.CrossEntropyLoss) else "huber"
    check(weighted_loss(loss), *REFERENCES[name].data())


def check(loss, prediction, target):
    samples = len(prediction)
    eager, compiled = Shift(prediction), Shift(prediction)
    optimizers = [torch.optim.SGD(module.parameters(), lr=0.01) for module in (eager, compiled)]
    step = train_step(compiled, loss, optimizers[1], targets=2)
    for weight in (torch.rand(samples), torch.zeros(samples), torch.arange(float(samples))):
        expected = loss(eager(prediction), target, weight)
        optimizers[0].zero_grad()
        expected.backward()
        optimizers[0].step()
        before = copy.deepcopy(compiled.state_dict())
        torch.testing.assert_close(step(prediction, target, weight), expected.detach())
        torch.testing.assert_close(compiled.by, eager.by)
        assert torch.equal(compiled.by, before["by"]) == (not weight.any())
    assert step.report.rung == "whole step in one Program"
    assert len(step.report.compilations) == 1
