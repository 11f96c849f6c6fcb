"""The two errors that only training raises."""

from __future__ import annotations

from tessera.errors import NonFiniteError, TesseraError
from tessera.train.history import History


class SettingError(TesseraError, ValueError):
    """``fit`` was asked for something that there is not, or with a number that makes no sense."""


class NonFiniteStepError(NonFiniteError):
    """The loss or a gradient of a step was not finite; the weights are those of the step before.

    Attributes:
        step: number of the step, from 1.
        epoch: number of its epoch, from 1.
        history: what was trained until then.
    """

    def __init__(self, error: NonFiniteError, step: int, epoch: int, history: History) -> None:
        super().__init__(f"Step {step}, epoch {epoch}: {error.received}", error.expected, error.fix, error.where)
        self.step, self.epoch, self.history = step, epoch, history
