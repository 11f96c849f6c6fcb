"""Clip each number of each gradient."""

from __future__ import annotations

import torch

from tessera.optim.hyperparameters import check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, stateless


@names_checked
def clip_by_value(max_value: float) -> GradientTransformation:
    """Clamp every number of every gradient into ``[-max_value, max_value]``, as `torch.nn.utils.clip_grad_value_`.

    Args:
        max_value: at least 0, in the unit of the gradients.

    Raises:
        OptimizerError: ``max_value`` is negative or not finite.

    Example:
        >>> import torch
        >>> updates, _ = clip_by_value(1.0).update([torch.tensor([3.0, -0.5])], [{}], [torch.zeros(2)])
        >>> updates
        [tensor([ 1.0000, -0.5000])]
    """
    check_number("max_value", max_value, 1.0)
    return stateless(lambda grad, _: torch.clamp(grad, -max_value, max_value))
