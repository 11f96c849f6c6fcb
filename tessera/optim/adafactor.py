"""Adafactor: Adam in sublinear memory."""

from __future__ import annotations

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_adafactor import scale_by_adafactor
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def adafactor(
    lr: LearningRate = 1e-2,
    beta2_decay: Hyper = -0.8,
    eps: tuple[Hyper | None, Hyper] = (None, 1e-3),
    d: Hyper = 1.0,
    weight_decay: Hyper = 0.0,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`Adafactor` as a gradient transformation."""
    return chain(scale(-1 if maximize else 1), scale_by_adafactor(lr, beta2_decay, eps, d, weight_decay))


class Adafactor(Optimizer):
    """Steps in proportion to the parameter, by second moments kept as a row and a column.

        b = 1 - t^beta2_decay
        R = b * R + (1 - b) * mean over columns of g^2          C = b * C + (1 - b) * mean over rows of g^2
        U = g / max(sqrt(R @ C / max(mean of R, eps1)), eps1)
        p = p - lr * weight_decay * p - max(eps2, rms(p)) * min(lr, 1 / sqrt(t)) * U / max(1, rms(U) / d)

    A vector's second moment is kept whole. Of a parameter of more dimensions the last two are factored.

    Args:
        params: a module, parameters, or parameter groups.
        lr: the most the relative step may be, or a schedule of it.
        beta2_decay: at most 0; how the decay rate of the second moment comes to 1.
        eps: least root of the second moment (None: the dtype's own epsilon), and least root mean square of a parameter.
        d: updates whose root mean square is larger are scaled down to it; at least 1.
        weight_decay: decoupled, as in `AdamW`.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost, 2018, arXiv:1804.04235.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(2, 2))
        >>> Adafactor([weight], lr=0.1).step(weight.square().sum())
        tensor(4.)
        >>> weight.data
        tensor([[0.9000, 0.9000],
                [0.9000, 0.9000]])
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-2,
        beta2_decay: Hyper = -0.8,
        eps: tuple[Hyper | None, Hyper] = (None, 1e-3),
        d: Hyper = 1.0,
        weight_decay: Hyper = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return adafactor(**self.hyper_parameters(group))
