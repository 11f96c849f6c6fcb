"""Adagrad: the gradient over the root of the sum of its squares."""

from __future__ import annotations

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.add_decayed_weights import add_decayed_weights
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_adagrad import scale_by_adagrad
from tessera.optim.transforms.scale_by_learning_rate import scale_by_learning_rate
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def adagrad(
    lr: LearningRate = 1e-2,
    lr_decay: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    initial_accumulator_value: Hyper = 0.0,
    eps: Hyper = 1e-10,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`Adagrad` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        add_decayed_weights(weight_decay),
        scale_by_adagrad(lr_decay, initial_accumulator_value, eps),
        scale_by_learning_rate(lr),
    )


class Adagrad(Optimizer):
    """Steps against the gradient, each number the slower the more it has moved.

        g = gradient + weight_decay * p
        s = s + g^2                                                  initial_accumulator_value at first
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        lr_decay: how much slower with each step.
        weight_decay: L2 penalty.
        initial_accumulator_value: of the sum of squares, in the unit of the gradient squared.
        eps: added to the root, so that a gradient of zero divides by something.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic optimization, 2011.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> Adagrad([weight], lr=0.1).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.9000)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-2,
        lr_decay: Hyper = 0.0,
        weight_decay: Hyper = 0.0,
        initial_accumulator_value: Hyper = 0.0,
        eps: Hyper = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return adagrad(**self.hyper_parameters(group))
