"""Loss curves beside PyTorch eager: the same model, data and seed, step by step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

import tessera
from benchmarks import gpt
from benchmarks.plan import Plan
from benchmarks.row import Part, limited

STEPS_FP64, STEPS_FP32 = 200, 20
LIMIT_FP64, LIMIT_FP32 = 1e-9, 1e-5
Batch = tuple[torch.Tensor, torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Job:
    """A model with its loss, and its batches for a dtype."""

    model: nn.Module
    loss: Loss
    batch: Callable[[torch.Generator], Batch]

    def batches(self, count: int, dtype: torch.dtype, device: torch.device) -> Iterator[Batch]:
        """``count`` random batches, the same every time."""
        generator = torch.Generator().manual_seed(1)
        for _ in range(count):
            x, y = self.batch(generator)
            yield (x.to(device, dtype) if x.is_floating_point() else x.to(device)), y.to(device)


def measure(plan: Plan) -> Part:
    """Two rows a model: fp64 and fp32."""
    part = Part()
    for name, make in JOBS.items():
        plan.say(f"  {name}")
        gaps = differences(make(), STEPS_FP64, torch.float64, plan.device)
        title = f"Loss curve beside PyTorch eager, fp64, {STEPS_FP64} steps, largest difference"
        part += Part([limited(title, name, max(gaps[0]), LIMIT_FP64)])
        gaps = differences(make(), STEPS_FP32, torch.float32, plan.device)
        title = f"Loss curve beside PyTorch eager, fp32, {STEPS_FP32} steps, largest relative difference"
        part += Part([limited(title, name, max(gaps[1]), LIMIT_FP32)])
    part.rows.sort(key=lambda row: row.work, reverse=True)
    return part


def differences(job: Job, steps: int, dtype: torch.dtype, device: torch.device) -> tuple[list[float], list[float]]:
    """Absolute and relative difference of the losses of every step."""
    ours, theirs = (
        curve(copy.deepcopy(job.model).to(device, dtype), job, steps, dtype, compiled=compiled)
        for compiled in (True, False)
    )
    absolute = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    return absolute, [gap / abs(b) for gap, b in zip(absolute, theirs, strict=True)]


def curve(model: nn.Module, job: Job, steps: int, dtype: torch.dtype, *, compiled: bool) -> list[float]:
    """The losses of ``steps`` AdamW steps, random numbers from one seed."""
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def eager(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = job.loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    step = tessera.train_step(model, job.loss, optimizer) if compiled else eager
    torch.manual_seed(2)
    return [step(x, y).item() for x, y in job.batches(steps, dtype, device)]


def small_gpt() -> Job:
    """The benchmark's GPT, two layers of it."""
    size = gpt.Size(layers=2, dim=64, heads=4, length=32, batch=4, vocabulary=256)

    def batch(generator: torch.Generator) -> Batch:
        tokens = torch.randint(size.vocabulary, (size.batch, size.length + 1), generator=generator)
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    return Job(gpt.model(size, torch.device("cpu")), gpt.cross_entropy, batch)


def mlp_with_dropout() -> Job:
    """Its random numbers are part of the curve."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))
    return Job(model, nn.functional.cross_entropy, _classified(32))


def convnet_with_batch_norm() -> Job:
    """Its running statistics change beside the parameters."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    return Job(model, nn.functional.cross_entropy, _classified(3, 16, 16))


def _classified(*shape: int) -> Callable[[torch.Generator], Batch]:
    def batch(generator: torch.Generator) -> Batch:
        x = torch.randn(16, *shape, generator=generator, dtype=torch.float64)
        return x, torch.randint(10, (16,), generator=generator)

    return batch


JOBS: dict[str, Callable[[], Job]] = {
    "GPT, 2 layers": small_gpt,
    "MLP with dropout": mlp_with_dropout,
    "convnet with BatchNorm": convnet_with_batch_norm,
}
