"""One-cycle schedule: up, then far down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps


@dataclass(frozen=True)
class OneCycle:
    """Up from a fraction of ``max_value`` to all of it, then down to next to nothing; arguments as in torch.

        first = max_value / div_factor          last = first / final_div_factor
        up    = pct_start * total_steps - 1     the step of the peak
        value(t) = between(first, max_value, t / up)                                       for t <= up
        value(t) = between(max_value, last, (t - up) / (total_steps - 1 - up))             afterwards
        between(a, b, x) = b + (a - b) * (1 + cos(pi * x)) / 2    or, "linear",   a + (b - a) * x

    With ``three_phase`` it comes down the way it went up, in as many steps, and falls from ``first`` to ``last`` in
    the rest.

    Args:
        max_value: the peak.
        total_steps: length of the whole cycle, in steps.
        pct_start: fraction of the steps that go up, in (0, 1); at most one half with ``three_phase``.
        anneal_strategy: "cos" or "linear".
        div_factor: how many times less than the peak the cycle begins with.
        final_div_factor: how many times less than at the beginning it ends with.
        three_phase: see above.

    References:
        Smith and Topin, Super-convergence: very fast training of neural networks using large learning rates, 2018,
        arXiv:1708.07120.

    Example:
        >>> one_cycle(1.0, 11, pct_start=0.5454545, div_factor=2.0)(torch.tensor([0.0, 5.0, 10.0]))
        tensor([5.0000e-01, 1.0000e+00, 5.0000e-05])
    """

    max_value: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        check_number("max_value", self.max_value, 1e-3)
        check_steps("total_steps", self.total_steps, least=2)
        check_number("pct_start", self.pct_start, 0.3, below=1.0)
        check_number("div_factor", self.div_factor, 25.0, positive=True)
        check_number("final_div_factor", self.final_div_factor, 1e4, positive=True)
        if self.anneal_strategy not in {"cos", "linear"}:
            raise OptimizerError(
                f"anneal_strategy={self.anneal_strategy!r} was passed.",
                'anneal_strategy is "cos" or "linear".',
                'Write anneal_strategy="cos".',
            )
        values, ends = self._phases()
        if not all(a < b for a, b in pairwise(ends)):
            raise OptimizerError(
                f"pct_start={self.pct_start} of total_steps={self.total_steps} was passed.",
                f"Each of the {len(values) - 1} phases of the cycle takes a step at least.",
                "Write for example pct_start=0.3 with a cycle of 100 steps or more.",
            )

    def __call__(self, step: Tensor) -> Tensor:
        values, ends = self._phases()
        result = torch.full_like(step, values[-1])
        # From the last phase to the first, so that the first one that holds a step decides.
        for index in reversed(range(len(values) - 1)):
            start, end = ends[index], ends[index + 1]
            value = self._between(
                values[index], values[index + 1], torch.clamp((step - start) / (end - start), max=1.0)
            )
            result = torch.where(step <= end, value, result)
        return result

    def _phases(self) -> tuple[list[float], list[float]]:
        """The values between which the phases lie, and the steps at which they have them."""
        first, peak = self.max_value / self.div_factor, self.max_value
        last = first / self.final_div_factor
        up, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if self.three_phase:
            return [first, peak, first, last], [0, up, 2 * up, end]
        return [first, peak, last], [0, up, end]

    def _between(self, start: float, end: float, done: Tensor) -> Tensor:
        if self.anneal_strategy == "linear":
            return start + (end - start) * done
        return end + (start - end) * 0.5 * (1 + torch.cos(math.pi * done))


one_cycle = names_checked(OneCycle)
