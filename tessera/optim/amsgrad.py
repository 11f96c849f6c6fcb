"""AMSGrad: Adam that never forgets a large gradient."""

from __future__ import annotations

from tessera.optim.adam import Adam, adam
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.parameter_groups import Parameters
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def amsgrad(
    lr: LearningRate = 1e-3,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`AMSGrad` as a gradient transformation."""
    return adam(lr, betas, eps, weight_decay, amsgrad=True, maximize=maximize)


class AMSGrad(Adam):
    """`Adam` that divides by the root of the largest second moment so far: ``Adam(..., amsgrad=True)``.

        v = beta2 * v + (1 - beta2) * g^2          w = max(w, v)
        p = p - lr * (m / (1 - beta1^t)) / (sqrt(w / (1 - beta2^t)) + eps)

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root, so that a gradient of zero divides by something.
        weight_decay: L2 penalty.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Reddi, Kale and Kumar, On the convergence of Adam and beyond, 2018, arXiv:1904.09237.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> AMSGrad([weight], lr=0.1).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.9000)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-3,
        betas: tuple[Hyper, Hyper] = (0.9, 0.999),
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad=True, maximize=maximize)
