"""Adam's direction: the mean gradient over the root of the mean square."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_betas, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zero_count, zeros


@names_checked
def scale_by_adam(
    betas: tuple[Hyper, Hyper] = (0.9, 0.999), eps: Hyper = 1e-8, *, amsgrad: bool = False
) -> GradientTransformation:
    """Divide the running mean of the gradient by the root of the running mean of its square, both without bias.

        m_t = beta1 * m_(t-1) + (1 - beta1) * g_t         exp_avg
        v_t = beta2 * v_(t-1) + (1 - beta2) * g_t^2       exp_avg_sq
        update = (m_t / (1 - beta1^t)) / (sqrt(v_t / (1 - beta2^t)) + eps)

    With ``amsgrad``, ``max_exp_avg_sq``, the largest v so far, stands in the place of v.

    Raises:
        OptimizerError: a beta is outside ``[0, 1)``, or ``eps`` is negative or not finite.

    References:
        Kingma and Ba, Adam: a method for stochastic optimization, 2015, arXiv:1412.6980.
        Reddi, Kale and Kumar, On the convergence of Adam and beyond, 2018, arXiv:1904.09237 (amsgrad).

    Example:
        >>> import torch
        >>> tx, param = scale_by_adam(), torch.tensor([1.0, -1.0])
        >>> tx.update([torch.tensor([20.0, -0.01])], [tx.init(param)], [param])[0]
        [tensor([ 1.0000, -1.0000])]
    """
    check_betas(betas, (0.9, 0.999))
    check_number("eps", eps, 1e-8)
    beta1, beta2 = betas

    def corrections(count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = count + 1
        step = count.to(torch.float64)  # as torch's Python numbers are
        bias1, bias2 = 1 - beta1**step, 1 - beta2**step
        return count, bias1 / bias2.sqrt(), eps * bias1

    def update(
        grad: Tensor, state: State, _: Tensor, count: Tensor, ratio: Tensor, floor: Tensor
    ) -> tuple[Tensor, State]:
        new = {
            "step": count,
            # The form of torch.lerp, which torch's Adam uses.
            "exp_avg": state["exp_avg"] + (1 - beta1) * (grad - state["exp_avg"]),
            "exp_avg_sq": beta2 * state["exp_avg_sq"] + (1 - beta2) * grad * grad,
        }
        second_moment = new["exp_avg_sq"]
        if amsgrad:
            second_moment = new["max_exp_avg_sq"] = torch.maximum(state["max_exp_avg_sq"], second_moment)
        # Both corrections stand in the denominator, so that each element costs one division.
        return new["exp_avg"] / (second_moment.sqrt() * ratio + floor), new

    state = {"step": zero_count, "exp_avg": zeros, "exp_avg_sq": zeros}
    return per_parameter(update, state | ({"max_exp_avg_sq": zeros} if amsgrad else {}), corrections)
