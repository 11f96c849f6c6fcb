"""LAMB: Adam with layer-wise step sizes, for large batches."""

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
from tessera.optim.transforms.scale_by_trust_ratio import scale_by_trust_ratio
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def lamb(
    lr: LearningRate = 1e-3,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-6,
    weight_decay: Hyper = 0.0,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`LAMB` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        scale_by_adam(betas, eps),
        add_decayed_weights(weight_decay),
        scale_by_trust_ratio(),
        scale_by_learning_rate(lr),
    )


class LAMB(Optimizer):
    """Adam's step, as long in each parameter as ``lr`` times the parameter itself.

        u = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay * p
        p = p - lr * |p| / |u| * u                             lr * u where |p| or |u| is 0

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule: the fraction of its length that a parameter moves.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root, so that a gradient of zero divides by something.
        weight_decay: decoupled, inside the part whose length is set.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        You et al., Large batch optimization for deep learning: training BERT in 76 minutes, 2020, arXiv:1904.00962.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(2.0))
        >>> LAMB([weight], lr=0.1).step(weight.square())
        tensor(4.)
        >>> weight.data
        tensor(1.8000)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-3,
        betas: tuple[Hyper, Hyper] = (0.9, 0.999),
        eps: Hyper = 1e-6,
        weight_decay: Hyper = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return lamb(**self.hyper_parameters(group))
