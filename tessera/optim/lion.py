"""Lion: evolved sign momentum."""

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
from tessera.optim.transforms.scale_by_lion import scale_by_lion
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def lion(
    lr: LearningRate = 1e-4,
    betas: tuple[Hyper, Hyper] = (0.9, 0.99),
    weight_decay: Hyper = 0.0,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`Lion` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        scale_by_lion(betas),
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(lr),
    )


class Lion(Optimizer):
    """Steps of one size in every number, against the sign of an interpolated momentum.

        c = beta1 * m + (1 - beta1) * gradient
        p = p - lr * (sign(c) + weight_decay * p)
        m = beta2 * m + (1 - beta2) * gradient

    Its steps are larger than Adam's: 3 to 10 times less learning rate, and as much more weight decay, is usual.
    One state tensor, half of Adam's memory. Arguments and defaults are those of the authors' PyTorch code.

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        betas: share of the momentum in the step, and decay rate of the momentum.
        weight_decay: decoupled, as in `AdamW`.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Chen et al., Symbolic discovery of optimization algorithms, 2023, arXiv:2302.06675.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> Lion([weight], lr=0.1).step(weight.square())
        tensor(1.)
        >>> weight.data
        tensor(0.9000)
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-4,
        betas: tuple[Hyper, Hyper] = (0.9, 0.99),
        weight_decay: Hyper = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return lion(**self.hyper_parameters(group))
