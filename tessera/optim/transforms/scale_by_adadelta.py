"""Adadelta's direction: steps in the unit of the parameters."""

from __future__ import annotations

from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zero_count, zeros


@names_checked
def scale_by_adadelta(rho: Hyper = 0.9, eps: Hyper = 1e-6) -> GradientTransformation:
    """Scale each gradient by the root mean square of past steps over that of past gradients.

        v_t = rho * v_(t-1) + (1 - rho) * g_t^2                       square_avg
        update = sqrt(u_(t-1) + eps) / sqrt(v_t + eps) * g_t
        u_t = rho * u_(t-1) + (1 - rho) * update^2                    acc_delta

    Both roots have the unit of a gradient and of a step, so the update has the unit of the parameter. The count
    ``step`` is not used here: torch's Adadelta keeps one.

    Raises:
        OptimizerError: ``rho`` is outside ``[0, 1)``, or ``eps`` is negative or not finite.

    References:
        Zeiler, ADADELTA: an adaptive learning rate method, 2012, arXiv:1212.5701.

    Example:
        >>> import torch
        >>> tx, param = scale_by_adadelta(rho=0.75, eps=1e-6), torch.tensor([1.0, -1.0])
        >>> tx.update([torch.tensor([20.0, -1.0])], [tx.init(param)], [param])[0]
        [tensor([ 0.0020, -0.0020])]
    """
    check_number("rho", rho, 0.9, below=1.0)
    check_number("eps", eps, 1e-6)

    def update(grad: Tensor, state: State, _: Tensor) -> tuple[Tensor, State]:
        square = rho * state["square_avg"] + (1 - rho) * grad * grad
        step = (state["acc_delta"] + eps).sqrt() / (square + eps).sqrt() * grad
        moved = rho * state["acc_delta"] + (1 - rho) * step * step
        return step, {"step": state["step"] + 1, "square_avg": square, "acc_delta": moved}

    return per_parameter(update, {"step": zero_count, "square_avg": zeros, "acc_delta": zeros})
