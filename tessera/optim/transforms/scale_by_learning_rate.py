"""The step downhill: multiply by minus the learning rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.schedules import Schedule
from tessera.optim.transformation import GradientTransformation, State, stateless, zero_count

LearningRate = Hyper | Schedule


def scale_by_learning_rate(learning_rate: LearningRate) -> GradientTransformation:
    """Multiply each update by ``-learning_rate``.

    A schedule is asked once for each update, with the number of updates made before it: the first step has
    ``schedule(0)``. Parameters that had no gradient for a while take part at the same learning rate as the others.

    Args:
        learning_rate: at least 0, or a schedule (a function of a 0-d float64 step that returns a number or 0-d tensor).

    Raises:
        OptimizerError: the rate is negative or not finite; at an update, when the schedule returns a non-scalar.

    Example:
        >>> import torch
        >>> scale_by_learning_rate(0.1).update([torch.tensor(2.0)], [{}], [torch.tensor(0.0)])
        ([tensor(-0.2000)], [{}])
    """
    if not callable(learning_rate):
        check_number("lr", learning_rate, 0.001)
        return stateless(lambda grad, _: grad * -learning_rate)
    return _scale_by_schedule(learning_rate)


def _scale_by_schedule(schedule: Schedule) -> GradientTransformation:
    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        if not grads:
            return [], []
        counts = [state["step"] for state in states]
        # One value for all parameters: the schedule is one small computation, whatever the number of parameters.
        step = torch.stack([count.to(counts[0].device) for count in counts]).amax()
        rate = _scalar(schedule, step.to(torch.float64))
        updates = [
            # No device computes with a number wider than this; some have no float64 at all.
            (grad * -rate.to(grad.device, torch.promote_types(grad.dtype, torch.float32))).to(param.dtype)
            for grad, param in zip(grads, params, strict=True)
        ]
        return updates, [{"step": (step + 1).to(count.device)} for count in counts]

    return GradientTransformation({"step": zero_count}, update)


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
