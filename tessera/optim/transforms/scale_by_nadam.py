"""NAdam's direction: Adam's, one step ahead."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_betas, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zero_count, zeros


@names_checked
def scale_by_nadam(
    betas: tuple[Hyper, Hyper] = (0.9, 0.999), eps: Hyper = 1e-8, momentum_decay: Hyper = 4e-3
) -> GradientTransformation:
    """Adam's direction with Nesterov's momentum, whose weight rises with the step.

        mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2)        M_t = mu_1 * ... * mu_t      mu_product
        m_t = beta1 * m_(t-1) + (1 - beta1) * g_t                                              exp_avg
        v_t = beta2 * v_(t-1) + (1 - beta2) * g_t^2                                            exp_avg_sq
        update = (mu_(t+1) * m_t / (1 - M_(t+1)) + (1 - mu_t) * g_t / (1 - M_t)) / (sqrt(v_t / (1 - beta2^t)) + eps)

    Args:
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root.
        momentum_decay: per step; 0.004 in the paper.

    Raises:
        OptimizerError: a beta is outside ``[0, 1)``, or another number is negative or not finite.

    References:
        Dozat, Incorporating Nesterov momentum into Adam, 2016.

    Example:
        >>> tx, param = scale_by_nadam(), torch.tensor([1.0, -1.0])
        >>> tx.update([torch.tensor([20.0, -0.01])], [tx.init(param)], [param])[0]
        [tensor([ 1.0565, -1.0565])]
    """
    check_betas(betas, (0.9, 0.999))
    check_number("eps", eps, 1e-8)
    check_number("momentum_decay", momentum_decay, 4e-3)
    beta1, beta2 = betas

    def of_count(count: Tensor) -> tuple[Tensor, ...]:
        step = count.to(torch.float64) + 1
        weight = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))
        next_weight = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        return count + 1, 1 - beta2**step, weight, next_weight

    def update(
        grad: Tensor, state: State, _: Tensor, count: Tensor, bias2: Tensor, weight: Tensor, next_weight: Tensor
    ) -> tuple[Tensor, State]:
        new = {
            "step": count,
            "mu_product": state["mu_product"] * weight.to(state["mu_product"]),  # in float32, as torch's is
            "exp_avg": state["exp_avg"] + (1 - beta1) * (grad - state["exp_avg"]),
            "exp_avg_sq": beta2 * state["exp_avg_sq"] + (1 - beta2) * grad * grad,
        }
        product = new["mu_product"].to(torch.float64)
        ahead = next_weight / (1 - product * next_weight) * new["exp_avg"] + (1 - weight) / (1 - product) * grad
        return ahead / ((new["exp_avg_sq"] / bias2).sqrt() + eps), new

    state = {"step": zero_count, "mu_product": _one, "exp_avg": zeros, "exp_avg_sq": zeros}
    return per_parameter(update, state, of_count)


def _one(param: Tensor) -> Tensor:
    return zero_count(param) + 1
