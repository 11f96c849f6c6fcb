"""An MLP 784-512-512-10 in batches of 128 from memory: `tessera.fit` beside a loop written for torch.compile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

import tessera
from benchmarks.measure import Make, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, faster

EAGER = "PyTorch eager"
FUSED, COMPILED = "torch.compile, fused AdamW", "torch.compile, AdamW compiled"


@dataclass(frozen=True)
class Size:
    """Width of the network, and how much of what."""

    inputs: int = 784
    hidden: int = 512
    classes: int = 10
    batch: int = 128
    batches: int = 64
    epochs: int = 2


def measure(plan: Plan) -> Part:
    """The time of a step."""
    size = Size()
    ways: dict[str, Make] = {
        OURS: partial(by_fit, plan, size),
        FUSED: partial(by_hand, plan, size, way=FUSED),
        COMPILED: partial(by_hand, plan, size, way=COMPILED),
        EAGER: partial(by_hand, plan, size, way=EAGER),
    }
    outcomes = in_turns(ways, plan, rounds=11, units=size.batches * size.epochs)
    title = f"MLP {size.inputs}-{size.hidden}-{size.hidden}-{size.classes}, batches of {size.batch}, fit, one step"
    return faster(title, outcomes, {FUSED: 1.0, COMPILED: 1.0})


def model(size: Size, device: torch.device) -> nn.Sequential:
    """``[batch, inputs]`` -> ``[batch, classes]``, the same weights every time."""
    torch.manual_seed(0)
    layers = [nn.Linear(size.inputs, size.hidden), nn.ReLU(), nn.Linear(size.hidden, size.hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(size.hidden, size.classes)).to(device)


def data(size: Size, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Random inputs ``[samples, inputs]`` and labels ``[samples]``, in whole batches."""
    generator = torch.Generator().manual_seed(1)
    samples = size.batch * size.batches
    x = torch.randn(samples, size.inputs, generator=generator)
    y = torch.randint(size.classes, (samples,), generator=generator)
    return x.to(device), y.to(device)


def by_fit(plan: Plan, size: Size, *, shuffle: bool = True) -> Run:
    """One call of ``fit``; returns the mean loss of its last epoch."""
    module, pairs = model(size, plan.device), data(size, plan.device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    shuffled = _in_order_first(shuffle)

    def run() -> float:
        history = tessera.fit(
            module,
            pairs,
            loss="cross_entropy",
            optimizer=optimizer,
            epochs=size.epochs,
            batch_size=size.batch,
            shuffle=next(shuffled),
            progress=False,
        )
        return history.epochs[-1]["loss"]

    return run


def by_hand(plan: Plan, size: Size, *, way: str, shuffle: bool = True) -> Run:
    """A loop over shuffled batches that keeps every loss and reads them at the end of an epoch, as ``fit`` does."""
    module, (x, y) = model(size, plan.device), data(size, plan.device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=way == FUSED or None)
    compiler: Callable[..., Callable[..., torch.Tensor]] = torch.compile

    def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(module(x), y)

    def update() -> None:
        optimizer.step()

    loss_of = forward if way == EAGER else compiler(forward)
    update_all = compiler(update) if way == COMPILED else update

    shuffled = _in_order_first(shuffle)

    def epoch(shuffle: bool) -> float:
        order = torch.randperm(len(y)) if shuffle else torch.arange(len(y))
        losses = []
        for rows in order.to(plan.device).split(size.batch):
            optimizer.zero_grad()
            loss = loss_of(x[rows], y[rows])
            loss.backward()
            update_all()
            losses.append(loss.detach())
        return torch.stack(losses).mean().item()

    def run() -> float:
        shuffle = next(shuffled)
        loss = [epoch(shuffle) for _ in range(size.epochs)][-1]
        plan.wait()
        return loss

    return run


def _in_order_first(shuffle: bool) -> Iterator[bool]:
    """Whether each repetition shuffles: the first, whose answers are compared, goes through the data in order."""
    return itertools.chain([False], itertools.repeat(shuffle))
