"""`tessera.fit` beside a hand-written loop that calls the same step: what the comfort costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

import tessera
from benchmarks import mlp
from benchmarks.measure import Make, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, compared

BY_HAND = "the same step in a loop"
AT_MOST = 1.03
SIZES = {
    "MLP 784-512-512-10": mlp.Size(epochs=8),
    "MLP 64-64-64-10": mlp.Size(inputs=64, hidden=64, batches=512, epochs=8),
}


def measure(plan: Plan) -> Part:
    """The time of a step, from a list of batches, so that both are given the very same tensors one by one."""
    part = Part()
    for name, size in SIZES.items():
        ways: dict[str, Make] = {OURS: partial(by_fit, plan, size), BY_HAND: partial(by_hand, plan, size)}
        outcomes = in_turns(ways, plan, rounds=11, units=size.batches * size.epochs)
        work = f"{name}, {size.batch} samples a batch, batches from a list, one step"
        part += Part([compared(work, BY_HAND, outcomes[OURS], outcomes[BY_HAND], most=AT_MOST)])
    return part


def by_fit(plan: Plan, size: mlp.Size) -> Run:
    """One call of ``fit``; returns its last loss."""
    module, given = mlp.model(size, plan.device), batches(plan, size)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)

    def run() -> float:
        history = tessera.fit(
            module, given, loss="cross_entropy", optimizer=optimizer, epochs=size.epochs, progress=False
        )
        return history.loss[-1]

    return run


def by_hand(plan: Plan, size: mlp.Size) -> Run:
    """The loop, which keeps every loss as well and reads them at the end of an epoch; returns the last one."""
    module, given = mlp.model(size, plan.device), batches(plan, size)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    step: Callable[..., torch.Tensor] = tessera.train_step(module, "cross_entropy", optimizer, check_finite=True)

    def run() -> float:
        losses: list[float] = []
        for _ in range(size.epochs):
            kept = [step(x, y) for x, y in given]
            losses += torch.stack(kept).tolist()
        return losses[-1]

    return run


def batches(plan: Plan, size: mlp.Size) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The data as a list of batches."""
    x, y = mlp.data(size, plan.device)
    return list(zip(x.split(size.batch), y.split(size.batch), strict=True))
