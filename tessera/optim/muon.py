"""Muon: momentum, made orthogonal."""

from __future__ import annotations

from tessera.optim.chain import chain
from tessera.optim.hyperparameters import Hyper
from tessera.optim.keywords import names_checked
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters, ParamGroup
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.add_decayed_weights import add_decayed_weights
from tessera.optim.transforms.orthogonalise import COEFFICIENTS, check_matrix, orthogonalise
from tessera.optim.transforms.scale_by_learning_rate import scale_by_learning_rate
from tessera.optim.transforms.with_learning_rate import LearningRate


@names_checked
def muon(
    lr: LearningRate = 1e-3,
    weight_decay: Hyper = 0.1,
    momentum: Hyper = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = COEFFICIENTS,
    eps: Hyper = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> GradientTransformation:
    """`Muon` as a gradient transformation."""
    return chain(
        orthogonalise(momentum, nesterov, ns_coefficients, eps, ns_steps, adjust_lr_fn),
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(lr),
    )


class Muon(Optimizer):
    """Steps of one size in every direction of a matrix: the momentum with its singular values set to about 1.

        B = momentum * B + (1 - momentum) * gradient
        X = (1 - momentum) * gradient + momentum * B  if nesterov else  B
        p = p - lr * (sqrt(max(1, rows / columns)) * orthogonal(X) + weight_decay * p)

    For the matrices inside a network, and for nothing else: embeddings, the last layer, biases and norms go to
    `AdamW`, by two optimizers or by `partition`. The iteration runs in bfloat16, five times; see `orthogonalise`.

    Args:
        params: a module, parameters, or parameter groups; matrices only.
        lr: learning rate, or a schedule.
        weight_decay: decoupled, as in `AdamW`.
        momentum: decay rate of the running mean of the gradient.
        nesterov: look one step ahead.
        ns_coefficients: of the Newton-Schulz iteration.
        eps: least norm of a momentum.
        ns_steps: Newton-Schulz iterations, from 0 to 99.
        adjust_lr_fn: None or "original", or "match_rms_adamw" for steps about as large as AdamW's.

    Raises:
        OptimizerError: an invalid hyper-parameter, a parameter that is not a real matrix; see `Optimizer`.

    References:
        Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.
        Liu et al., Muon is scalable for LLM training, 2025, arXiv:2502.16982 (match_rms_adamw).

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.eye(2))
        >>> _ = Muon([weight], lr=0.1).step(weight.square().sum())
        >>> bool(((0.85 < weight.diag()) & (weight.diag() < 0.95)).all())
        True
    """

    def __init__(
        self,
        params: Parameters,
        lr: LearningRate = 1e-3,
        weight_decay: Hyper = 0.1,
        momentum: Hyper = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = COEFFICIENTS,
        eps: Hyper = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults=defaults)

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        for param in group["params"]:
            check_matrix(param[1] if isinstance(param, tuple) else param)
        return muon(**self.hyper_parameters(group))
