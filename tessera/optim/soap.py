"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.scale import scale
from tessera.optim.transforms.scale_by_soap import scale_by_soap
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def soap(
    lr: LearningRate = 3e-3,
    betas: tuple[Hyper, Hyper] = (0.95, 0.95),
    shampoo_beta: Hyper = -1.0,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.01,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10000,
    precondition_1d: bool = False,
    normalize_grads: bool = False,
    correct_bias: bool = True,
    *,
    maximize: bool = False,
) -> GradientTransformation:
    """`SOAP` as a gradient transformation."""
    return chain(
        scale(-1 if maximize else 1),
        scale_by_soap(
            lr,
            betas,
            shampoo_beta,
            eps,
            weight_decay,
            precondition_frequency,
            max_precond_dim,
            precondition_1d=precondition_1d,
            normalize_grads=normalize_grads,
            correct_bias=correct_bias,
        ),
    )


class SOAP(Optimizer):
    """Adam's step, computed in the directions in which the gradients of rows and of columns are uncorrelated.

        g' = QL' g QR          m = beta1 * m + (1 - beta1) * g'          v = beta2 * v + (1 - beta2) * g'^2
        p = (p - lr * QL (m / (1 - beta1^t) / ((sqrt(v) + eps) / sqrt(1 - beta2^t))) QR') * (1 - lr * weight_decay)
        L = b * L + (1 - b) * g g'          R = b * R + (1 - b) * g' g
        every precondition_frequency steps:  QL = qr(L QL),  QR = qr(R QR)

    Arguments, defaults and values are those of the authors' PyTorch code, whose ``merge_dims`` and ``data_format``
    are not here. The first call makes no step. See `scale_by_soap` for each piece.

    Args:
        params: a module, parameters, or parameter groups.
        lr: learning rate, or a schedule.
        betas: decay rates of the running means.
        shampoo_beta: decay rate ``b`` of L and R; ``betas[1]`` when it is below 0.
        eps: added to the root.
        weight_decay: decoupled.
        precondition_frequency: steps between two refreshes of the bases.
        max_precond_dim: larger dimensions have no basis.
        precondition_1d: vectors have a basis too.
        normalize_grads: scale each update to a root mean square of 1.
        correct_bias: Adam's bias correction.
        maximize: step along the gradient instead.

    Raises:
        OptimizerError: an invalid hyper-parameter; see `Optimizer` for the parameters.

    References:
        Vyas et al., SOAP: improving and stabilizing Shampoo using Adam, 2024, arXiv:2409.11321.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.eye(2) * 2)
        >>> optimizer = SOAP([weight], lr=0.1, weight_decay=0.0)
        >>> for _ in range(2):
        ...     _ = optimizer.step(weight.square().sum())
        >>> weight.data
        tensor([[1.9000, 0.0000],
                [0.0000, 1.9000]])
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 3e-3,
        betas: tuple[Hyper, Hyper] = (0.95, 0.95),
        shampoo_beta: Hyper = -1.0,
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 0.01,
        precondition_frequency: int = 10,
        max_precond_dim: int = 10000,
        precondition_1d: bool = False,
        normalize_grads: bool = False,
        correct_bias: bool = True,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "shampoo_beta": shampoo_beta,
            "eps": eps,
            "weight_decay": weight_decay,
            "precondition_frequency": precondition_frequency,
            "max_precond_dim": max_precond_dim,
            "precondition_1d": precondition_1d,
            "normalize_grads": normalize_grads,
            "correct_bias": correct_bias,
            "maximize": maximize,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        return soap(**self.hyper_parameters(group))
