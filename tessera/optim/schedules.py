"""Schedules: a learning rate as a function of the step, in pure tensor code, so that a new value never recompiles.

A schedule takes the number of updates made so far as a float64 tensor and returns the value in the same shape: a 0-d
tensor inside an optimizer, any shape for a plot. Built-in schedules are frozen dataclasses: they print, compare, and
go into a state_dict as plain numbers. The lower-case names (`cosine_decay`) are how they are written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import check_number


class Schedule(Protocol):
    """Any function of the step; the built-in ones are below."""

    def __call__(self, step: Tensor, /) -> Tensor | float: ...


@dataclass(frozen=True)
class Constant:
    """The same value at every step.

    Example:
        >>> constant(0.1)(torch.tensor(7.0))
        tensor(0.1000)
    """

    value: float

    def __post_init__(self) -> None:
        check_number("value", self.value, 1e-3)

    def __call__(self, step: Tensor) -> Tensor:
        return torch.full_like(step, self.value)


@dataclass(frozen=True)
class Linear:
    """From one value to another in a straight line, constant before and after.

        value(t) = init_value + (end_value - init_value) * clip((t - transition_begin) / transition_steps, 0, 1)

    Args:
        init_value: at the beginning.
        end_value: at the end.
        transition_steps: length of the line, in steps.
        transition_begin: steps before the line begins.

    Example:
        >>> linear(0.0, 1.0, transition_steps=4)(torch.tensor([0.0, 1.0, 4.0, 9.0]))
        tensor([0.0000, 0.2500, 1.0000, 1.0000])
    """

    init_value: float
    end_value: float
    transition_steps: int
    transition_begin: int = 0

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        check_number("end_value", self.end_value, 0.0)
        _check_steps("transition_steps", self.transition_steps, least=1)
        _check_steps("transition_begin", self.transition_begin)

    def __call__(self, step: Tensor) -> Tensor:
        done = torch.clamp((step - self.transition_begin) / self.transition_steps, 0.0, 1.0)
        return self.init_value + (self.end_value - self.init_value) * done


@dataclass(frozen=True)
class CosineDecay:
    """Half a cosine from ``init_value`` down to ``alpha * init_value``, constant afterwards.

        value(t) = init_value * ((1 - alpha) * ((1 + cos(pi * min(t / decay_steps, 1))) / 2)^exponent + alpha)

    Args:
        init_value: at step 0.
        decay_steps: length of the decay, in steps.
        alpha: what is left at the end, as a fraction of ``init_value``.
        exponent: bends the curve; 1 is the plain cosine.

    References:
        Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, arXiv:1608.03983.

    Example:
        >>> cosine_decay(1.0, decay_steps=4)(torch.tensor([0.0, 2.0, 4.0, 9.0]))
        tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """

    init_value: float
    decay_steps: int
    alpha: float = 0.0
    exponent: float = 1.0

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        _check_steps("decay_steps", self.decay_steps, least=1)
        check_number("alpha", self.alpha, 0.1)
        check_number("exponent", self.exponent, 1.0)

    def __call__(self, step: Tensor) -> Tensor:
        cosine = 0.5 * (1 + torch.cos(math.pi * torch.clamp(step / self.decay_steps, 0.0, 1.0)))
        return self.init_value * ((1 - self.alpha) * cosine**self.exponent + self.alpha)


@dataclass(frozen=True)
class ExponentialDecay:
    """Multiplied by ``decay_rate`` every ``transition_steps``, smoothly or in stairs.

        value(t) = init_value * decay_rate^((t - transition_begin) / transition_steps)

    Args:
        init_value: until ``transition_begin``.
        transition_steps: steps in which the value changes by ``decay_rate``.
        decay_rate: above 0; below 1 the value falls.
        transition_begin: steps before the decay begins.
        staircase: round the exponent down, so that the value falls in stairs.
        end_value: where the value stops falling (or rising).

    Example:
        >>> exponential_decay(1.0, transition_steps=10, decay_rate=0.5)(torch.tensor([0.0, 10.0, 20.0]))
        tensor([1.0000, 0.5000, 0.2500])
    """

    init_value: float
    transition_steps: int
    decay_rate: float
    transition_begin: int = 0
    staircase: bool = False
    end_value: float | None = None

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        _check_steps("transition_steps", self.transition_steps, least=1)
        check_number("decay_rate", self.decay_rate, 0.9, positive=True)
        _check_steps("transition_begin", self.transition_begin)
        if self.end_value is not None:
            check_number("end_value", self.end_value, 1e-5)

    def __call__(self, step: Tensor) -> Tensor:
        exponent = torch.clamp((step - self.transition_begin) / self.transition_steps, min=0.0)
        value = self.init_value * self.decay_rate ** (torch.floor(exponent) if self.staircase else exponent)
        if self.end_value is None:
            return value
        falls = self.decay_rate < 1
        return torch.clamp(value, min=self.end_value) if falls else torch.clamp(value, max=self.end_value)


@dataclass(frozen=True)
class WarmupCosineDecay:
    """A line up to ``peak_value``, then half a cosine down to ``end_value``.

        value(t) = linear(init_value, peak_value, warmup_steps)(t)                       for t < warmup_steps
        value(t) = cosine_decay(peak_value, decay_steps - warmup_steps, alpha, exponent)(t - warmup_steps)
        alpha = end_value / peak_value

    Args:
        init_value: at step 0.
        peak_value: at the end of the warm-up, above 0.
        warmup_steps: length of the line, in steps; 0 for none.
        decay_steps: length of the whole schedule, in steps, the warm-up included.
        end_value: at the end and afterwards.
        exponent: bends the cosine; 1 is the plain one.

    References:
        Goyal et al., Accurate, large minibatch SGD, 2017, arXiv:1706.02677 (warm-up).

    Example:
        >>> warmup_cosine_decay(0.0, 1.0, warmup_steps=2, decay_steps=6)(torch.tensor([0.0, 1.0, 2.0, 4.0, 6.0]))
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """

    init_value: float
    peak_value: float
    warmup_steps: int
    decay_steps: int
    end_value: float = 0.0
    exponent: float = 1.0

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 0.0)
        check_number("peak_value", self.peak_value, 1e-3, positive=True)
        _check_steps("warmup_steps", self.warmup_steps)
        _check_steps("decay_steps", self.decay_steps, least=self.warmup_steps + 1)
        check_number("end_value", self.end_value, 0.0)
        check_number("exponent", self.exponent, 1.0)

    def __call__(self, step: Tensor) -> Tensor:
        # `where` computes both sides: a warm-up of 0 steps would divide by zero in the side that is not taken.
        warmup = Linear(self.init_value, self.peak_value, max(self.warmup_steps, 1))
        decay = CosineDecay(
            self.peak_value, self.decay_steps - self.warmup_steps, self.end_value / self.peak_value, self.exponent
        )
        return torch.where(step < self.warmup_steps, warmup(step), decay(step - self.warmup_steps))


@dataclass(frozen=True)
class PiecewiseConstant:
    """Constant between boundaries, multiplied by a scale at each of them.

    Args:
        init_value: before the first boundary.
        boundaries_and_scales: ``{step: scale}``: from that step on the value is multiplied by the scale. Kept as
            sorted pairs.

    Example:
        >>> piecewise_constant(1.0, {10: 0.5, 20: 0.1})(torch.tensor([9.0, 10.0, 20.0]))
        tensor([1.0000, 0.5000, 0.0500])
    """

    init_value: float
    boundaries_and_scales: Mapping[int, float] | tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        check_number("init_value", self.init_value, 1e-3)
        pairs = tuple((step, scale) for step, scale in sorted(dict(self.boundaries_and_scales).items()))
        for step, scale in pairs:
            _check_steps("boundary", step)
            check_number("scale", scale, 0.1)
        object.__setattr__(self, "boundaries_and_scales", pairs)

    def __call__(self, step: Tensor) -> Tensor:
        value = torch.full_like(step, self.init_value)
        for boundary, scale in dict(self.boundaries_and_scales).items():
            value = torch.where(step >= boundary, value * scale, value)
        return value


constant = Constant
linear = Linear
cosine_decay = CosineDecay
exponential_decay = ExponentialDecay
warmup_cosine_decay = WarmupCosineDecay
piecewise_constant = PiecewiseConstant

_BUILT_IN = {
    kind.__name__: kind
    for kind in (Constant, Linear, CosineDecay, ExponentialDecay, WarmupCosineDecay, PiecewiseConstant)
}


def as_plain(value: Any) -> Any:
    """A built-in schedule as a dict of its numbers, for a state_dict; anything else as it is."""
    name = type(value).__name__
    return {"schedule": name, **asdict(value)} if _BUILT_IN.get(name) is type(value) else value


def from_plain(value: Any) -> Any:
    """The schedule that `as_plain` made a dict of; anything else as it is."""
    if isinstance(value, dict) and value.get("schedule") in _BUILT_IN:
        return _BUILT_IN[value["schedule"]](**{name: number for name, number in value.items() if name != "schedule"})
    return value


def _check_steps(name: str, steps: object, least: int = 0) -> None:
    if not (isinstance(steps, int | float) and float(steps).is_integer() and steps >= least):
        raise OptimizerError(
            f"{name}={steps!r} was passed.",
            f"{name} is a whole number of steps, at least {least}.",
            f"Write for example {name}={max(least, 1000)}.",
        )
