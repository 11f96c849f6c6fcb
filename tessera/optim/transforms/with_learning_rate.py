"""Transformations that need the learning rate itself, be it a number, a schedule or a plateau."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.schedules.reduce_on_plateau import STATE, ReduceOnPlateau
from tessera.optim.schedules.schedule import Schedule
from tessera.optim.transformation import (
    GradientTransformation,
    Member,
    State,
    StateInit,
    latest,
    long_count,
    unused,
)

LearningRate = Hyper | Schedule | ReduceOnPlateau


def with_learning_rate(
    learning_rate: LearningRate, make: Callable[[Hyper], GradientTransformation]
) -> GradientTransformation:
    """What ``make`` makes of the learning rate of each update.

    A schedule is asked once for each update, with the number of updates made before it: the first step has
    ``schedule(0)``. Parameters that had no gradient for a while take part at the same learning rate as the others.

    Args:
        learning_rate: at least 0, or a schedule (a function of a 0-d float64 step that returns a number or 0-d tensor),
            or a `ReduceOnPlateau` of one of them.
        make: rate -> transformation, whose state does not depend on the rate; the rate is a 0-d float64 tensor where
            it comes from a schedule.

    Raises:
        OptimizerError: the rate is negative or not finite; at an update, when the schedule returns a non-scalar.

    Example:
        >>> from tessera.optim import linear
        >>> from tessera.optim.transformation import stateless
        >>> tx = with_learning_rate(linear(1.0, 0.0, 2), lambda rate: stateless(lambda grad, _: grad * rate))
        >>> list(tx.state)
        ['step']
    """
    plateau = learning_rate if isinstance(learning_rate, ReduceOnPlateau) else None
    base = plateau.base if plateau else learning_rate
    if not callable(base):
        check_number("lr", base, 0.001)
        if plateau is None:
            number: Hyper = base  # type: ignore[assignment]  # a number or a 0-d tensor: it cannot be called
            return replace(make(number), rate=lambda _: number)
    inner = make(0.0)
    state: dict[str, StateInit] = dict(inner.state)
    count = unused("step", state)
    if callable(base):
        state[count] = long_count
    scaled = unused(STATE, state)
    if plateau:
        state[scaled] = plateau.init
    whole = Member(inner, {name: name for name in inner.state})

    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        if not grads:
            return [], []
        rate: object = base
        counted: list[State] = [{} for _ in states]
        if callable(base):
            step = latest([old[count] for old in states])
            rate = _scalar(base, step)
            counted = [{count: (step + 1).to(old[count])} for old in states]
        if plateau:
            rate = plateau.rate(rate, states[0][scaled])  # type: ignore[arg-type]  # a number or a tensor by now
        updates, new = make(rate).update(grads, [whole.own(old) for old in states], params)  # type: ignore[arg-type]
        return updates, [values | more for values, more in zip(new, counted, strict=True)]

    def observe(old: State, value: float) -> State:
        return {scaled: plateau.observed(old[scaled], value)} if plateau else {}

    def latest_rate(states: Sequence[State]) -> Tensor | float:
        rate: object = base
        if callable(base):
            counts = [old[count] for old in states if count in old] or [torch.ones(())]
            rate = _scalar(base, latest(counts).clamp(min=1) - 1)
        scales = [old[scaled] for old in states if scaled in old]
        return plateau.rate(rate, scales[0]) if plateau and scales else rate  # type: ignore[arg-type, return-value]

    return GradientTransformation(
        state, update, members=(whole,), observe=observe if plateau else None, rate=latest_rate
    )


def _scalar(schedule: Schedule, step: Tensor) -> Tensor:
    rate = schedule(step)
    if isinstance(rate, Tensor) and rate.ndim == 0:
        return rate
    if isinstance(rate, int | float):
        return torch.full_like(step, rate)
    returned = f"a tensor of shape {list(rate.shape)}" if isinstance(rate, Tensor) else repr(rate)
    raise OptimizerError(
        f"The learning-rate schedule {schedule!r} returned {returned}.",
        "A schedule returns one number: a 0-d tensor or a float.",
        "Write for example lambda step: 0.1 / (1 + step), where step is a 0-d tensor.",
    )
