"""Multiply updates by a number."""

from __future__ import annotations

import math

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, identity, stateless


@names_checked
def scale(factor: Hyper) -> GradientTransformation:
    """Multiply each update by ``factor``; ``scale(-1)`` turns descent into ascent.

    Raises:
        OptimizerError: ``factor`` is not finite.

    Example:
        >>> import torch
        >>> scale(-1).update([torch.tensor(2.0)], [{}], [torch.tensor(0.0)])
        ([tensor(-2.)], [{}])
    """
    check_number("factor", factor, 0.5, low=-math.inf)
    if isinstance(factor, int) and factor == 1:
        return identity()
    return stateless(lambda grad, _: grad * factor)
