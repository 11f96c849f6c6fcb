"""Lion's direction: the sign of an interpolated momentum."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_betas
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zeros


@names_checked
def scale_by_lion(betas: tuple[Hyper, Hyper] = (0.9, 0.99)) -> GradientTransformation:
    """Replace each number of a gradient by the sign of its momentum.

        update = sign(beta1 * m_(t-1) + (1 - beta1) * g_t)
        m_t = beta2 * m_(t-1) + (1 - beta2) * g_t         exp_avg

    Raises:
        OptimizerError: a beta is outside ``[0, 1)``.

    References:
        Chen et al., Symbolic discovery of optimization algorithms, 2023, arXiv:2302.06675.

    Example:
        >>> import torch
        >>> tx, param = scale_by_lion(), torch.tensor([1.0, -1.0])
        >>> tx.update([torch.tensor([20.0, -0.01])], [tx.init(param)], [param])[0]
        [tensor([ 1., -1.])]
    """
    check_betas(betas, (0.9, 0.99))
    beta1, beta2 = betas

    def update(grad: Tensor, state: State, _: Tensor) -> tuple[Tensor, State]:
        mean = state["exp_avg"]
        return torch.sign(beta1 * mean + (1 - beta1) * grad), {"exp_avg": beta2 * mean + (1 - beta2) * grad}

    return per_parameter(update, {"exp_avg": zeros})
