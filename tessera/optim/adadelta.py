"""Adadelta: steps in the unit of the parameters."""

from __future__ import annotations

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.add_decayed_weights import add_decayed_weights
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_adadelta import scale_by_adadelta
from tessera.optim.transforms.scale_by_learning_rate import scale_by_learning_rate
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def adadelta(
    lr: LearningRate = 1.0,
    rho: Hyper = 0.9,
    eps: Hyper = 1e-6,
    weight_decay: Hyper = 0.0,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`Adadelta` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        add_decayed_weights(weight_decay),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(lr),
    )


class Adadelta(Optimizer):
    """Steps as large as past steps were, in the root mean square; no learning rate need be chosen.

        g = gradient + weight_decay * p
        v = rho * v + (1 - rho) * g^2
        d = sqrt(u + eps) / sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d^2
        p = p - lr * d

    Args:
        params: a module, parameters, or parameter groups.
        lr: factor of the step, or a schedule of it.
        rho: decay rate of both running means.
        eps: in both roots; it makes the first steps.
        weight_decay: L2 penalty.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Zeiler, ADADELTA: an adaptive learning rate method, 2012, arXiv:1212.5701.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> Adadelta([weight], rho=0.75, eps=1e-2).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.8010)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1.0,
        rho: Hyper = 0.9,
        eps: Hyper = 1e-6,
        weight_decay: Hyper = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return adadelta(**self.hyper_parameters(group))
