"""A training loop that saves 200 MB of state every 20 steps beside training, and the same loop without saves."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from benchmarks.measure import Timing
from benchmarks.plan import Plan
from benchmarks.row import Part, compared, seconds
from tessera.checkpoint import CheckpointManager
from tessera.checkpoint.finding import latest

AT_MOST = 1.05
_ADAM = 12  # bytes of state a parameter: itself and two moments


@dataclass(frozen=True)
class Size:
    """Linear layers of ``width`` until model and AdamW have ``state_mb`` megabytes of state, and when it is saved."""

    width: int = 1024
    batch: int = 256
    state_mb: float = 200
    save_every: int = 20
    saves: int = 2


@dataclass
class Loop:
    """One of the two: trains, and knows how long each step took.

    Attributes:
        step: trains once and returns the loss.
        checkpoints: told of every step, if there are any.
        times: seconds of each step, what it waited for a save included.
        done: steps so far.
    """

    step: Callable[[], float]
    checkpoints: CheckpointManager | None
    times: list[float] = field(default_factory=list)
    done: int = 0

    def run(self, steps: int) -> float:
        """Train; returns the last loss."""
        loss = 0.0
        for _ in range(steps):
            started = time.perf_counter()
            loss = self.step()
            self.done += 1
            if self.checkpoints is not None:
                self.checkpoints.step(self.done)
            self.times.append(time.perf_counter() - started)
        if self.checkpoints is not None:
            self.checkpoints.wait()  # the other loop does not run beside a save of this one
        return loss


def measure(plan: Plan, size: Size | None = None) -> Part:
    """The median step, and what the whole loop takes, in the notes."""
    size = size or Size()
    with tempfile.TemporaryDirectory() as folder:
        saving, plain = loop(plan, size, Path(folder)), loop(plan, size, None)
        for each in (saving, plain):  # the first save finds the memory for the copy
            each.run(size.save_every)
            each.times.clear()
        losses = [0.0, 0.0]
        for number in range(plan.rounds(4)):
            plan.say(f"  round {number + 1}")
            pairs = list(enumerate((saving, plain)))
            for place, each in pairs if number % 2 else reversed(pairs):
                losses[place] = each.run(size.save_every * size.saves)
        saved = latest(folder)
    if saved is None:
        raise RuntimeError("nothing was saved")
    ours, theirs = (Timing(tuple(each.times), loss, 0.0) for each, loss in zip((saving, plain), losses, strict=True))
    work = f"a step, with {size.state_mb:g} MB of state saved every {size.save_every}"
    return Part([compared(work, "without saves", ours, theirs, most=AT_MOST)], [_note(work, size, ours, theirs)])


def loop(plan: Plan, size: Size, folder: Path | None) -> Loop:
    """The same training each time; with a folder, saved there."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    count = 0
    while count * _ADAM < size.state_mb * 1e6:
        layers += [nn.Linear(size.width, size.width), nn.GELU()]
        count += size.width * (size.width + 1)
    model = nn.Sequential(*layers).to(plan.device)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    x = torch.randn(size.batch, size.width, device=plan.device)

    def step() -> float:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        plan.wait()
        return float(loss.detach())

    state = {"model": model, "optimizer": optimizer}
    manager = CheckpointManager(folder, state, save_every=size.save_every, keep=2) if folder else None
    return Loop(step, manager)


def _note(work: str, size: Size, ours: Timing, theirs: Timing) -> str:
    at_saves = ours.seconds[size.save_every - 1 :: size.save_every]
    whole = sum(ours.seconds) / sum(theirs.seconds)
    return (
        f"{work}\n  mean step {seconds(statistics.mean(ours.seconds))}, without saves "
        f"{seconds(statistics.mean(theirs.seconds))} ({whole:.2f}x); the step at which a copy is made "
        f"{seconds(statistics.median(at_saves))}, the longest {seconds(max(ours.seconds))}"
    )
