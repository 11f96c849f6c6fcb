"""RAdam: rectified Adam."""

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
from tessera.optim.transforms.scale_by_radam import scale_by_radam
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def radam(
    lr: LearningRate = 1e-3,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`RAdam` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        add_decayed_weights(0.0 if decoupled_weight_decay else weight_decay),
        scale_by_radam(betas, eps),
        add_decayed_weights(weight_decay if decoupled_weight_decay else 0.0),
        scale_by_learning_rate(lr),
    )


class RAdam(Optimizer):
    """Adam that begins with momentum alone, until its second moment can be relied on; it needs no warm-up.

        g = gradient + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        r_inf = 2 / (1 - beta2) - 1          r = r_inf - 2 * t * beta2^t / (1 - beta2^t)
        rect = sqrt((r - 4) * (r - 2) * r_inf / ((r_inf - 4) * (r_inf - 2) * r))
        p = p - lr * m / (1 - beta1^t) * (rect * sqrt(1 - beta2^t) / (sqrt(v) + eps)  if r > 5 else  1)

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root, so that a gradient of zero divides by something.
        weight_decay: L2 penalty.
        decoupled_weight_decay: decay as `AdamW` does.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Liu et al., On the variance of the adaptive learning rate and beyond, 2020, arXiv:1908.03265.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> RAdam([weight], lr=0.1).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.8000)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-3,
        betas: tuple[Hyper, Hyper] = (0.9, 0.999),
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return radam(**self.hyper_parameters(group))
