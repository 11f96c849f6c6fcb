"""RMSProp: the gradient over its root mean square."""

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
from tessera.optim.transforms.scale_by_rms import scale_by_rms
from tessera.optim.transforms.trace import trace
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def rmsprop(
    lr: LearningRate = 1e-2,
    alpha: Hyper = 0.99,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    momentum: Hyper = 0.0,
    centered: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`RMSProp` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        add_decayed_weights(weight_decay),
        scale_by_rms(alpha, eps, centered=centered),
        trace(momentum),
        scale_by_learning_rate(lr),
    )


class RMSProp(Optimizer):
    """Steps against the gradient, each number scaled by its own root mean square.

        g = gradient + weight_decay * p
        s = alpha * s + (1 - alpha) * g^2
        a = alpha * a + (1 - alpha) * g                   when centered; else a = 0
        b = momentum * b + g / (sqrt(s - a^2) + eps)
        p = p - lr * b

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        alpha: decay rate of the running means.
        eps: added to the root (outside it, as torch does), so that a gradient of zero divides by something.
        weight_decay: L2 penalty.
        momentum: how much of the sum of past steps is kept; 0 keeps no buffer.
        centered: divide by the standard deviation instead of the root mean square.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Tieleman and Hinton, Lecture 6.5 - rmsprop, Neural networks for machine learning, 2012.
        Graves, Generating sequences with recurrent neural networks, 2013, arXiv:1308.0850 (centered).

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> RMSProp([weight], lr=0.1, alpha=0.75).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.8000)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-2,
        alpha: Hyper = 0.99,
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 0.0,
        momentum: Hyper = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return rmsprop(**self.hyper_parameters(group))


RMSprop = RMSProp  # torch spells it so
