"""NAdam: Adam with Nesterov's momentum."""

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
from tessera.optim.transforms.scale_by_nadam import scale_by_nadam
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def nadam(
    lr: LearningRate = 2e-3,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    momentum_decay: Hyper = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`NAdam` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        add_decayed_weights(0.0 if decoupled_weight_decay else weight_decay),
        scale_by_nadam(betas, eps, momentum_decay),
        add_decayed_weights(weight_decay if decoupled_weight_decay else 0.0),
        scale_by_learning_rate(lr),
    )


class NAdam(Optimizer):
    """Adam, whose momentum looks one step ahead.

        mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2)          M_t = mu_1 * ... * mu_t
        g = gradient + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        a = mu_(t+1) * m / (1 - M_(t+1)) + (1 - mu_t) * g / (1 - M_t)
        p = p - lr * a / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root, so that a gradient of zero divides by something.
        weight_decay: L2 penalty.
        momentum_decay: how quickly the momentum comes to beta1, per step.
        decoupled_weight_decay: decay as `AdamW` does.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Dozat, Incorporating Nesterov momentum into Adam, 2016.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> NAdam([weight], lr=0.1, momentum_decay=0.0).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.8944)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 2e-3,
        betas: tuple[Hyper, Hyper] = (0.9, 0.999),
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 0.0,
        momentum_decay: Hyper = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return nadam(**self.hyper_parameters(group))
