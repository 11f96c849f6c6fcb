"""The learning rates that a training is at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tessera.optim.optimizer import Optimizer
from tessera.train.callbacks.callback import Callback
from tessera.train.callbacks.intervals import check_interval
from tessera.train.run import Run


class LearningRateMonitor(Callback):
    """Keeps the learning rate of every parameter group, and those inside a `chain`; `History.plot` draws them.

    It is the rate that the last update was made with: that of a schedule of `tessera.optim` at that update, a number
    as it stands in the group, where a torch scheduler or the user puts it.

    Args:
        every: steps from one look to the next; there is one at the end too.

    Attributes:
        lr: by name, pairs of a step and the rate. The name is ``lr``, with the kind of the optimizer behind it where
            there are several, and a number where it has several groups or rates: ``lr/AdamW/0``.

    Raises:
        SettingError: ``every`` is no whole number of at least 1.
    """

    def __init__(self, every: int = 50) -> None:
        check_interval(self, every=every)
        self.every = every
        self.lr: dict[str, list[tuple[int, float]]] = {}

    def begin(self, run: Run) -> None:
        run.history.learning_rates = self.lr

    def step(self, run: Run) -> None:
        for name, rate in learning_rates(run.optimizers).items():
            kept = self.lr.setdefault(name, [])
            if not kept or kept[-1][0] < run.step:
                kept.append((run.step, rate))

    def end(self, run: Run) -> None:
        if run.step:
            self.step(run)

    def state_dict(self) -> dict[str, Any]:
        return {"lr": {name: torch.tensor(kept, dtype=torch.float64) for name, kept in self.lr.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.lr = {name: [(int(step), rate) for step, rate in kept.tolist()] for name, kept in state["lr"].items()}


def learning_rates(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, float]:
    """The rates of every optimizer by name; reads the optimizers and changes nothing in them."""
    kinds, found, named = Counter(type(optimizer).__name__ for optimizer in optimizers), Counter[str](), {}
    for optimizer in optimizers:
        kind = type(optimizer).__name__
        found[kind] += 1
        own = [kind if kinds[kind] == 1 else f"{kind} {found[kind]}"] if len(optimizers) > 1 else []
        if isinstance(optimizer, Optimizer):
            rates = optimizer.learning_rates()
        else:
            rates = [float(group["lr"]) for group in optimizer.param_groups if "lr" in group]
        for number, rate in enumerate(rates):
            named["/".join(["lr", *own, *([str(number)] if len(rates) > 1 else [])])] = rate
    return named
