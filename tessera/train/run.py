"""A training as its callbacks see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tessera.train.batches import Batch
from tessera.train.history import History


@dataclass
class Run:
    """What is trained and how far it is.

    Attributes:
        module: what is trained.
        optimizers: what updates it.
        history: losses and results of all steps until now, those before a resume included.
        step: steps done, those before a resume included.
        epoch: number of the epoch that the last step belongs to, from 1.
        samples: samples trained on since this process began.
        seconds: that those took, waiting for data included, and nothing else (validation, callbacks).
        batch: the first batch of this process, ``[batch, ...]``; None before the first step.
        results: ``loss`` and the metrics of the last step.
        stopped: why no further step is taken; "" while the training goes on.
        error: what ended it, if that was an error.
    """

    module: torch.nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    history: History
    step: int = 0
    epoch: int = 1
    samples: int = 0
    seconds: float = 0.0
    batch: Batch | None = None
    results: dict[str, float] = field(default_factory=dict)
    stopped: str = ""
    error: BaseException | None = None

    def stop(self, reason: str) -> None:
        """End the training after this call; the first reason stays."""
        self.stopped = self.stopped or reason
