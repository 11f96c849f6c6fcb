"""What a schedule is, and the checks that all of them share."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from tessera.errors import OptimizerError


class Schedule(Protocol):
    """Any function of the step in tensor code, so that a new value never recompiles.

    It takes the number of updates made so far as a float64 tensor and returns the value in the same shape: a 0-d
    tensor inside an optimizer, any shape for a plot. The built-in schedules are frozen dataclasses: they print,
    compare, and go into a state_dict as plain numbers.
    """

    def __call__(self, step: Tensor, /) -> Tensor | float: ...


def check_steps(name: str, steps: object, least: int = 0) -> None:
    """Raise unless a number of steps is whole and at least ``least``.

    Raises:
        OptimizerError: it is not.
    """
    if isinstance(steps, bool) or not (isinstance(steps, int | float) and float(steps).is_integer() and steps >= least):
        raise OptimizerError(
            f"{name}={steps!r} was passed.",
            f"{name} is a whole number of steps, at least {least}.",
            f"Write for example {name}={max(least, 1000)}.",
        )


def check_schedule(name: str, schedule: object) -> None:
    """Raise unless ``schedule`` can be called.

    Raises:
        OptimizerError: it cannot.
    """
    if not callable(schedule):
        raise OptimizerError(
            f"{name}={schedule!r} was passed.",
            f"{name} is a schedule: a function of the step.",
            f"Write for example {name}=constant({schedule!r})."
            if isinstance(schedule, int | float)
            else f"Write for example {name}=cosine_decay(1e-3, 1000).",
        )
