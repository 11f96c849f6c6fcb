"""A stand-in for the compiled training step: tests of when a step is one program need no compiler."""

from __future__ import annotations

import pytest
import torch


class EagerStep:
    """What `train_step` does, as plain PyTorch; `calls` counts the steps."""

    def __init__(self, module, loss, optimizer, *, metrics=None):
        self.module, self.loss, self.optimizer, self.functions = module, loss, optimizer, metrics or {}
        self.metrics, self.calls = {}, 0

    def __call__(self, *batch, **named):
        self.calls += 1
        prediction = torch.nn.Module.__call__(self.module, *batch[:-1], **named)
        loss = self.loss(prediction, batch[-1])
        self.optimizer.zero_grad()
        loss.backward()
        self.metrics = {name: f(prediction.detach().clone(), batch[-1]) for name, f in self.functions.items()}
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()


@pytest.fixture
def programs(monkeypatch):
    """The training steps that were built in place of compiled ones."""
    built = []

    def build(*args, **named):
        built.append(EagerStep(*args, **named))
        return built[-1]

    monkeypatch.setattr("tessera.nn.model._train_step", build)
    return built
