"""AdamW: Adam with weight decay that does not pass through the moments."""

from __future__ import annotations

from typing import Any

from tessera.optim.adam import Adam
from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.add_decayed_weights import add_decayed_weights
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_adam import scale_by_adam
from tessera.optim.transforms.scale_by_learning_rate import scale_by_learning_rate
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def adamw(
    lr: LearningRate = 1e-3,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`AdamW` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        scale_by_adam(betas, eps, amsgrad=amsgrad),
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(lr),
    )


class AdamW(Adam):
    """Adam's step, and beside it every parameter shrinks by the same fraction.

        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient^2
        p = p - lr * ((m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay * p)

    Args:
        params: a module, parameters, or parameter groups; a group of biases and norms usually has ``weight_decay=0``.
        lr: learning rate, or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root, so that a gradient of zero divides by something.
        weight_decay: a parameter without gradient shrinks by ``lr * weight_decay`` of itself at each step.
        amsgrad: divide by the largest v so far.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Loshchilov and Hutter, Decoupled weight decay regularization, 2019, arXiv:1711.05101.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> AdamW([weight], lr=0.1, weight_decay=0.5).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.8500)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-3,
        betas: tuple[Hyper, Hyper] = (0.9, 0.999),
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        hyper_parameters = self.hyper_parameters(group)
        del hyper_parameters["decoupled_weight_decay"]  # torch's way to say AdamW in a state_dict
        return adamw(**hyper_parameters)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True  # also when the state_dict was Adam's
