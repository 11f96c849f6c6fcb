"""Stochastic gradient descent, with momentum or without."""

from __future__ import annotations

from typing import Any

import torch

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.add_decayed_weights import add_decayed_weights
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_learning_rate import scale_by_learning_rate
from tessera.optim.transforms.trace import trace
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def sgd(
    lr: LearningRate = 1e-3,
    momentum: Hyper = 0.0,
    dampening: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`SGD` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        add_decayed_weights(weight_decay),
        trace(momentum, dampening, nesterov=nesterov),
        scale_by_learning_rate(lr),
    )


class SGD(Optimizer):
    """Steps against the gradient, or against a decaying sum of gradients.

        g = gradient + weight_decay * p
        b = momentum * b + (1 - dampening) * g            b = g at the first step
        p = p - lr * (g + momentum * b  if nesterov else  b)

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        momentum: how much of the sum is kept; 0 keeps no buffer.
        dampening: how much less each gradient after the first counts.
        weight_decay: L2 penalty.
        nesterov: look one step ahead; needs a momentum and no dampening.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Robbins and Monro, A stochastic approximation method, 1951.
        Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum in deep learning, 2013.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> SGD([weight], lr=0.1).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.8000)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-3,
        momentum: Hyper = 0.0,
        dampening: Hyper = 0.0,
        weight_decay: Hyper = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return sgd(**self.hyper_parameters(group))

    def adopt(self, state: dict[str, Any]) -> None:
        # torch keeps no flag: a buffer that exists holds a gradient.
        if "momentum_buffer" in state:
            state.setdefault("momentum_started", torch.ones(()))
