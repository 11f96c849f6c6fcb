"""The step downhill: multiply by minus the learning rate."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, stateless
from tessera.optim.transforms.with_learning_rate import LearningRate, with_learning_rate


@names_checked
def scale_by_learning_rate(learning_rate: LearningRate) -> GradientTransformation:
    """Multiply each update by ``-learning_rate``.

    Args:
        learning_rate: at least 0, a schedule, or a `ReduceOnPlateau`; see `with_learning_rate`.

    Raises:
        OptimizerError: the rate is negative or not finite; at an update, when the schedule returns a non-scalar.

    Example:
        >>> import torch
        >>> scale_by_learning_rate(0.1).update([torch.tensor(2.0)], [{}], [torch.tensor(0.0)])
        ([tensor(-0.2000)], [{}])
    """
    return with_learning_rate(learning_rate, lambda rate: stateless(lambda grad, _: grad * -_beside(rate, grad)))


def _beside(rate: Hyper, grad: Tensor) -> Hyper:
    # No device computes with a number wider than this; some have no float64 at all.
    wide = torch.promote_types(grad.dtype, torch.float32)
    return rate.to(grad.device, wide) if isinstance(rate, Tensor) else rate
