"""Adagrad's direction: the gradient over the root of the sum of its squares."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zero_count


@names_checked
def scale_by_adagrad(
    lr_decay: Hyper = 0.0, initial_accumulator_value: Hyper = 0.0, eps: Hyper = 1e-10
) -> GradientTransformation:
    """Divide each gradient by the root of the sum of all its squares so far.

        s_t = s_(t-1) + g_t^2                                         sum, initial_accumulator_value at first
        update = g_t / (sqrt(s_t) + eps) / (1 + (t - 1) * lr_decay)

    ``eps`` stands outside the root, as in torch; in Optax it stands inside.

    Raises:
        OptimizerError: a number is negative or not finite.

    References:
        Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic optimization, 2011.

    Example:
        >>> tx, param = scale_by_adagrad(), torch.tensor([1.0, -1.0])
        >>> tx.update([torch.tensor([20.0, -0.01])], [tx.init(param)], [param])[0]
        [tensor([ 1., -1.])]
    """
    check_number("lr_decay", lr_decay, 0.0)
    check_number("initial_accumulator_value", initial_accumulator_value, 0.1)
    check_number("eps", eps, 1e-10)

    def of_count(count: Tensor) -> tuple[Tensor, ...]:
        return count + 1, 1 + count.to(torch.float64) * lr_decay

    def update(grad: Tensor, state: State, _: Tensor, count: Tensor, slower: Tensor) -> tuple[Tensor, State]:
        new = {"step": count, "sum": state["sum"] + grad * grad}
        return grad / (new["sum"].sqrt() + eps) / slower, new

    def begin(param: Tensor) -> Tensor:
        value = float(initial_accumulator_value)
        return torch.full_like(param, complex(value, value) if param.is_complex() else value)

    return per_parameter(update, {"step": zero_count, "sum": begin}, of_count)
