"""How often Tessera compiles in 1,000 steps under a schedule, the last batch of an epoch being smaller."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import nn

import tessera
from benchmarks.plan import Plan
from benchmarks.row import Part, limited
from tessera.program import Report

STEPS, BATCH, LAST, BATCHES = 1_000, 32, 17, 25  # 40 epochs of 24 batches of 32 and one of 17
WARMUP, PEAK = 100, 1e-2
AT_MOST = 2


def measure(plan: Plan) -> Part:
    """One row for each way to write a schedule."""
    ways: dict[str, Callable[[Plan], Report]] = {
        "train_step, torch.optim.AdamW under LambdaLR": torch_schedule,
        "train_step, tessera.optim.AdamW with lr=schedule": tessera_schedule,
        "fit, tessera.optim.AdamW with lr=schedule": in_fit,
    }
    part = Part()
    for name, way in ways.items():
        plan.say(f"  {name}")
        report = way(plan)
        title = f"Compilations in {STEPS:,} steps, warm-up and cosine, batches of {BATCH} and a last one of {LAST}"
        part += Part([limited(title, name, compilations(report), AT_MOST)], [f"{title}\n  {name}: {report.rung}"])
    return part


def compilations(report: Report) -> float:
    """How many there were; none is too many where a job was not captured at all."""
    return len(report.compilations) or math.inf


def torch_schedule(plan: Plan, steps: int = STEPS) -> Report:
    """The schedule steps beside the training step and sets the group's learning rate."""
    module = model(plan.device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=PEAK)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    step = tessera.train_step(module, "cross_entropy", optimizer)
    for x, y in batches(plan.device, steps):
        step(x, y)
        schedule.step()
    return step.report


def tessera_schedule(plan: Plan, steps: int = STEPS) -> Report:
    """The schedule is a function of the step inside the optimizer."""
    module = model(plan.device)
    step = tessera.train_step(module, "cross_entropy", tessera.optim.AdamW(module, lr=_schedule()))
    for x, y in batches(plan.device, steps):
        step(x, y)
    return step.report


def in_fit(plan: Plan, steps: int = STEPS) -> Report:
    """The same in ``fit`` on data in memory."""
    module = model(plan.device)
    optimizer = tessera.optim.AdamW(module, lr=_schedule())
    data = samples(plan.device)
    history = tessera.fit(
        module, data, loss="cross_entropy", optimizer=optimizer, steps=steps, batch_size=BATCH, progress=False
    )
    return history.report or Report("no report")


def model(device: torch.device) -> nn.Sequential:
    """``[batch, 20]`` -> ``[batch, 5]``."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 64), nn.GELU(), nn.Linear(64, 5)).to(device)


def samples(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """One epoch: inputs ``[785, 20]`` and labels ``[785]``."""
    generator = torch.Generator().manual_seed(1)
    count = (BATCHES - 1) * BATCH + LAST
    x = torch.randn(count, 20, generator=generator)
    return x.to(device), torch.randint(5, (count,), generator=generator).to(device)


def batches(device: torch.device, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Epochs of 24 batches of 32 and one of 17, ``steps`` batches in all."""
    x, y = samples(device)
    for number in range(steps):
        rows = slice(number % BATCHES * BATCH, (number % BATCHES + 1) * BATCH)
        yield x[rows], y[rows]


def factor(step: int) -> float:
    """What the peak is multiplied by: a line up, then half a cosine down to 0."""
    if step < WARMUP:
        return step / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def _schedule() -> tessera.optim.schedules.Schedule:
    return tessera.optim.warmup_cosine_decay(0.0, PEAK, warmup_steps=WARMUP, decay_steps=STEPS)
