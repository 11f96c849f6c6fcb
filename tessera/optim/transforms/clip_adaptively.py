"""Clip each row of a gradient in proportion to its row of the parameter."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, stateless


@names_checked
def clip_adaptively(clipping: Hyper = 0.01, eps: Hyper = 1e-3) -> GradientTransformation:
    """Adaptive gradient clipping: no unit's gradient is longer than a fraction of the unit's weights.

        g_i = g_i * min(1, clipping * max(|p_i|, eps) / |g_i|)            for each unit i

    A unit is what one output of a layer is computed with: a slice ``[i, ...]`` of a parameter of two dimensions and
    more (torch keeps outputs first), all of a vector or a number.

    Args:
        clipping: the fraction; 0.01 in the paper for batches of 4096.
        eps: least norm of a unit's weights, so that a unit that starts at zero can leave it.

    Raises:
        OptimizerError: a number is negative or not finite.

    References:
        Brock, De, Smith and Simonyan, High-performance large-scale image recognition without normalization, 2021,
        arXiv:2102.06171.

    Example:
        >>> param = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
        >>> clip_adaptively(0.1).update([torch.ones(2, 2)], [{}], [param])[0]
        [tensor([[3.5355e-01, 3.5355e-01],
                [7.0711e-05, 7.0711e-05]])]
    """
    check_number("clipping", clipping, 0.01)
    check_number("eps", eps, 1e-3)

    def update(grad: Tensor, param: Tensor) -> Tensor:
        limit = clipping * torch.clamp(_unit_norm(param), min=eps)
        norm = _unit_norm(grad)
        return torch.where(norm > limit, grad * (limit / torch.clamp(norm, min=1e-6)), grad)

    return stateless(update)


def _unit_norm(value: Tensor) -> Tensor:
    dims = tuple(range(1, value.ndim)) if value.ndim > 1 else None
    return torch.linalg.vector_norm(value, dim=dims, keepdim=value.ndim > 0)
