"""A scheduler of torch's, stepped and kept in snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tessera.errors import SettingError
from tessera.train.callbacks.callback import Callback
from tessera.train.run import Run


class Scheduler(Callback):
    """Steps a scheduler of ``torch.optim.lr_scheduler``; what it changes never compiles again.

    The schedules of ``tessera.optim`` need none of this: ``lr=cosine_decay(...)`` is part of the optimizer.

    Args:
        scheduler: of the optimizer that is trained with.
        every: steps from one of its steps to the next; None: one at the end of every epoch. ``ReduceLROnPlateau`` is
            stepped after every validation (every epoch without validation data) instead.
        monitor: the result that ``ReduceLROnPlateau`` goes by.

    Raises:
        SettingError: it is no scheduler; or, while training, there is no result of the name ``monitor``.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)
        >>> callback = Scheduler(torch.optim.lr_scheduler.StepLR(optimizer, step_size=10), every=1)
    """

    def __init__(self, scheduler: LRScheduler, *, every: int | None = None, monitor: str = "loss") -> None:
        if not isinstance(scheduler, LRScheduler):
            raise SettingError(
                f"Scheduler got {scheduler!r}.",
                "It is a scheduler of torch.optim.lr_scheduler.",
                "Write for example Scheduler(torch.optim.lr_scheduler.StepLR(optimizer, 10)).",
            )
        self.scheduler, self.monitor = scheduler, monitor
        self._on_plateau = isinstance(scheduler, ReduceLROnPlateau)
        self.every = None if self._on_plateau else every

    @property
    def watches_epochs(self) -> bool:
        return self.every is None

    def step(self, run: Run) -> None:
        self.scheduler.step()

    def measured(self, run: Run, results: Mapping[str, float]) -> None:
        if not self._on_plateau:
            return
        if self.monitor not in results:
            raise SettingError(
                f"Scheduler monitors {self.monitor!r}.",
                f"The results are {', '.join(map(repr, results))}.",
                "Name one of them, or pass the metric: metrics={...}.",
            )
        self.scheduler.step(results[self.monitor])  # type: ignore[arg-type]  # torch calls the metric an epoch

    def epoch(self, run: Run) -> None:
        if self.every is None and not self._on_plateau:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return dict(self.scheduler.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scheduler.load_state_dict(dict(state))
