"""Layer-wise step sizes: each update in proportion to its parameter."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, stateless


@names_checked
def scale_by_trust_ratio(trust_coefficient: Hyper = 1.0, eps: Hyper = 0.0) -> GradientTransformation:
    """Scale each update to the length of its parameter.

        update = u * trust_coefficient * |p| / (|u| + eps)            u itself where |p| or |u| is 0

    Raises:
        OptimizerError: a number is negative or not finite.

    References:
        You, Gitman and Ginsburg, Large batch training of convolutional networks, 2017, arXiv:1708.03888.

    Example:
        >>> scale_by_trust_ratio().update([torch.tensor([0.3, 0.4])], [{}], [torch.tensor([0.0, 10.0])])[0]
        [tensor([6., 8.])]
    """
    check_number("trust_coefficient", trust_coefficient, 1.0)
    check_number("eps", eps, 1e-8)

    def update(grad: Tensor, param: Tensor) -> Tensor:
        size, length = torch.linalg.vector_norm(param), torch.linalg.vector_norm(grad)
        ratio = trust_coefficient * size / (length + eps)
        return grad * torch.where((size == 0) | (length == 0), torch.ones_like(ratio), ratio)

    return stateless(update)
