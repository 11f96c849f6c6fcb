"""RAdam's direction: Adam's, once its variance is known well enough."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_betas, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zero_count, zeros


@names_checked
def scale_by_radam(betas: tuple[Hyper, Hyper] = (0.9, 0.999), eps: Hyper = 1e-8) -> GradientTransformation:
    """Momentum alone at first, then Adam's direction, shortened while its second moment rests on few steps.

        m_t = beta1 * m_(t-1) + (1 - beta1) * g_t                                   exp_avg
        v_t = beta2 * v_(t-1) + (1 - beta2) * g_t^2                                 exp_avg_sq
        r_inf = 2 / (1 - beta2) - 1          r_t = r_inf - 2 * t * beta2^t / (1 - beta2^t)
        rect  = sqrt((r_t - 4) * (r_t - 2) * r_inf / ((r_inf - 4) * (r_inf - 2) * r_t))
        update = m_t / (1 - beta1^t) * (rect * sqrt(1 - beta2^t) / (sqrt(v_t) + eps)  if r_t > 5 else  1)

    Raises:
        OptimizerError: a beta is outside ``[0, 1)``, or ``eps`` is negative or not finite.

    References:
        Liu et al., On the variance of the adaptive learning rate and beyond, 2020, arXiv:1908.03265.

    Example:
        >>> tx, param = scale_by_radam(), torch.tensor([1.0, -1.0])
        >>> tx.update([torch.tensor([20.0, -0.5])], [tx.init(param)], [param])[0]
        [tensor([20.0000, -0.5000])]
    """
    check_betas(betas, (0.9, 0.999))
    check_number("eps", eps, 1e-8)
    beta1, beta2 = betas
    longest = 2 / (1 - beta2) - 1

    def of_count(count: Tensor) -> tuple[Tensor, ...]:
        step = count.to(torch.float64) + 1
        bias1, bias2 = 1 - beta1**step, 1 - beta2**step
        length = longest - 2 * step * beta2**step / bias2
        rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        return count + 1, bias1, length > 5, (rectified * bias2).sqrt()

    def update(
        grad: Tensor, state: State, _: Tensor, count: Tensor, bias1: Tensor, known: Tensor, factor: Tensor
    ) -> tuple[Tensor, State]:
        new = {
            "step": count,
            "exp_avg": state["exp_avg"] + (1 - beta1) * (grad - state["exp_avg"]),
            "exp_avg_sq": beta2 * state["exp_avg_sq"] + (1 - beta2) * grad * grad,
        }
        mean = new["exp_avg"] / bias1
        return torch.where(known, mean * (factor / (new["exp_avg_sq"].sqrt() + eps)), mean), new

    return per_parameter(update, {"step": zero_count, "exp_avg": zeros, "exp_avg_sq": zeros}, of_count)
