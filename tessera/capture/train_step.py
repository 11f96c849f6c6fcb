"""Interim: the lowest rung of the ladder only (eager); the captured rungs replace this file."""
from __future__ import annotations
from typing import Any
import torch

class TrainStep:
    def __init__(self, module, loss, optimizer, *, clip_norm=None, accumulate=1, metrics=None):
        self.module, self.loss, self.optimizer = module, loss, optimizer
        self.clip_norm, self.metric_functions = clip_norm, dict(metrics or {})
        self.metrics: dict[str, torch.Tensor] = {}
    def __call__(self, *batch: Any) -> torch.Tensor:
        *inputs, target = batch
        prediction = self.module(*inputs)
        loss = self.loss(prediction, target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip_norm is not None:
            self.metrics["grad_norm"] = torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip_norm)
        self.optimizer.step()
        with torch.no_grad():
            self.metrics |= {k: f(prediction.detach(), target) for k, f in self.metric_functions.items()}
        return loss.detach()

def train_step(module, loss, optimizer, *, clip_norm=None, accumulate=1, metrics=None) -> TrainStep:
    from tessera.nn.losses import resolve_loss
    return TrainStep(module, resolve_loss(loss), optimizer, clip_norm=clip_norm, accumulate=accumulate, metrics=metrics)
