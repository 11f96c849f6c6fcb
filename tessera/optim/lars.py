"""LARS: momentum with layer-wise step sizes, for large batches."""

from __future__ import annotations

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.add_decayed_weights import add_decayed_weights
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_learning_rate import scale_by_learning_rate
from tessera.optim.transforms.scale_by_trust_ratio import scale_by_trust_ratio
from tessera.optim.transforms.trace import trace
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def lars(
    lr: LearningRate = 1e-1,
    momentum: Hyper = 0.9,
    weight_decay: Hyper = 0.0,
    trust_coefficient: Hyper = 1e-3,
    eps: Hyper = 0.0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`LARS` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        add_decayed_weights(weight_decay),
        scale_by_trust_ratio(trust_coefficient, eps),
        scale_by_learning_rate(lr),
        trace(momentum, nesterov=nesterov),
    )


class LARS(Optimizer):
    """Momentum of gradients that are scaled to the length of their parameter.

        g = gradient + weight_decay * p
        b = momentum * b + lr * trust_coefficient * |p| / (|g| + eps) * g          lr * g where |p| or |g| is 0
        p = p - b

    The learning rate is inside the momentum, as in the paper. Biases and norms usually go into a group of their own
    under `SGD`, or a `partition`.

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        momentum: how much of past steps is kept.
        weight_decay: L2 penalty.
        trust_coefficient: fraction of its length that a parameter moves at a learning rate of 1.
        eps: added to the length of the gradient.
        nesterov: look one step ahead.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        You, Gitman and Ginsburg, Large batch training of convolutional networks, 2017, arXiv:1708.03888.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(2.0))
        >>> LARS([weight], lr=0.1, trust_coefficient=0.5).step(weight.square())
        tensor(4.)
        >>> weight.data
        tensor(1.9000)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-1,
        momentum: Hyper = 0.9,
        weight_decay: Hyper = 0.0,
        trust_coefficient: Hyper = 1e-3,
        eps: Hyper = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "eps": eps,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return lars(**self.hyper_parameters(group))
