"""Adam: adaptive moments."""

from __future__ import annotations

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.add_decayed_weights import add_decayed_weights
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_adam import scale_by_adam
from tessera.optim.transforms.scale_by_learning_rate import scale_by_learning_rate
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def adam(
    lr: LearningRate = 1e-3,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> GradientTransformation:
    """`Adam` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        add_decayed_weights(0.0 if decoupled_weight_decay else weight_decay),
        scale_by_adam(betas, eps, amsgrad=amsgrad),
        add_decayed_weights(weight_decay if decoupled_weight_decay else 0.0),
        scale_by_learning_rate(lr),
    )


class Adam(Optimizer):
    """Steps along the running mean of the gradient, each number scaled by its own root mean square.

        g = gradient + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root, so that a gradient of zero divides by something.
        weight_decay: L2 penalty; see `AdamW` for decay that does not pass through the moments.
        amsgrad: divide by the largest v so far.
        maximize: step along the gradient instead.
        decoupled_weight_decay: decay as `AdamW` does.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Kingma and Ba, Adam: a method for stochastic optimization, 2015, arXiv:1412.6980.
        Reddi, Kale and Kumar, On the convergence of Adam and beyond, 2018, arXiv:1904.09237 (amsgrad).

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> Adam([weight], lr=0.1).step(weight.square())
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
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return adam(**self.hyper_parameters(group))
