"""Schedule-free AdamW: no end of training need be known."""

from __future__ import annotations

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_schedule_free import scale_by_schedule_free
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def schedule_free_adamw(
    lr: LearningRate = 0.0025,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    warmup_steps: int = 0,
    r: Hyper = 0.0,
    weight_lr_power: Hyper = 2.0,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`ScheduleFreeAdamW` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        scale_by_schedule_free(lr, betas, eps, weight_decay, warmup_steps, r, weight_lr_power),
    )


class ScheduleFreeAdamW(Optimizer):
    """AdamW without momentum, and an average of its iterates in place of momentum and schedule.

        lr_t = lr * min(1, t / warmup_steps)          w_t = t^r * max(lr_1 ... lr_t)^weight_lr_power
        c_t = w_t / (w_1 + ... + w_t)
        v = beta2 * v + (1 - beta2) * gradient(y)^2
        z = z - lr_t * (gradient(y) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay * y)
        x = (1 - c_t) * x + c_t * z
        y = (1 - beta1) * z + beta1 * x

    The parameters are ``y`` while training. Evaluate, save for serving and export inside
    ``optimizer.averaged_weights()``, where they are ``x``. Arguments and defaults are those of the authors' code.

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule (of warm-up alone).
        betas: weight of the average in ``y``, above 0, and decay rate of the second moment.
        eps: added to the root.
        weight_decay: decoupled, at ``y``.
        warmup_steps: steps of linear warm-up; 0 for none.
        r: power of the step in the weight of the average.
        weight_lr_power: power of the largest learning rate so far in that weight.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Defazio et al., The road less scheduled, 2024, arXiv:2405.15682.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> optimizer = ScheduleFreeAdamW([weight], lr=0.1)
        >>> for _ in range(200):
        ...     _ = optimizer.step(weight.square())
        >>> with optimizer.averaged_weights():
        ...     print(bool(weight.abs() < 0.1))
        True
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 0.0025,
        betas: tuple[Hyper, Hyper] = (0.9, 0.999),
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 0.0,
        warmup_steps: int = 0,
        r: Hyper = 0.0,
        weight_lr_power: Hyper = 2.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return schedule_free_adamw(**self.hyper_parameters(group))
