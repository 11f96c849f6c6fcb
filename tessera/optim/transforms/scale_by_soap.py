"""SOAP's step: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.eigenbasis import refreshed
from tessera.optim.hyperparameters import Hyper, check_betas, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps
from tessera.optim.transformation import GradientTransformation, State, StateInit, per_parameter, zero_count, zeros
from tessera.optim.transforms.with_learning_rate import LearningRate, with_learning_rate

MOST_DIMS = 6
"""Dimensions of a parameter that can have a basis of their own; the weight of a 3-d convolution has 5."""


@names_checked
def scale_by_soap(
    lr: LearningRate = 3e-3,
    betas: tuple[Hyper, Hyper] = (0.95, 0.95),
    shampoo_beta: Hyper = -1.0,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.01,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10000,
    *,
    precondition_1d: bool = False,
    normalize_grads: bool = False,
    correct_bias: bool = True,
) -> GradientTransformation:
    """The whole step of SOAP, downhill; for a matrix, with bases ``QL`` and ``QR``, it is this.

        g' = QL' g QR                                                       into the bases
        m = beta1 * m + (1 - beta1) * g'                                    exp_avg
        v = beta2 * v + (1 - beta2) * g'^2                                  exp_avg_sq
        u = QL (m / (1 - beta1^t) / ((sqrt(v) + eps) / sqrt(1 - beta2^t))) QR'
        p = (p - lr * u) * (1 - lr * weight_decay)
        L = b * L + (1 - b) * g g'         R = b * R + (1 - b) * g' g       gram_0, gram_1;  b: shampoo_beta
        every precondition_frequency steps:  QL = qr(L QL),  QR = qr(R QR)  basis_0, basis_1

    Each dimension of at most ``max_precond_dim`` has a basis; so a convolution's weight has up to four. The first call
    only begins L, R and their eigenvectors: no gradient is projected on a basis made of itself.

    Args:
        lr: learning rate or schedule.
        betas: decay rates of the running means.
        shampoo_beta: decay rate of L and R; ``betas[1]`` when it is below 0.
        eps: added to the root.
        weight_decay: decoupled, after the step.
        precondition_frequency: steps between two refreshes of the bases; only then is a QR decomposition computed.
        max_precond_dim: larger dimensions have no basis.
        precondition_1d: vectors have a basis too.
        normalize_grads: scale each update to a root mean square of 1.
        correct_bias: Adam's bias correction.

    Raises:
        OptimizerError: a number out of its range; later, a complex parameter.

    References:
        Vyas et al., SOAP: improving and stabilizing Shampoo using Adam, 2024, arXiv:2409.11321.
        Gupta, Koren and Singer, Shampoo: preconditioned stochastic tensor optimization, 2018, arXiv:1802.09568.

    Example:
        >>> state = scale_by_soap().init(torch.ones(2, 3))
        >>> [(name, tuple(value.shape)) for name, value in state.items() if name.startswith("basis")]
        [('basis_0', (2, 2)), ('basis_1', (3, 3))]
    """
    check_betas(betas, (0.95, 0.95))
    check_number("shampoo_beta", shampoo_beta, 0.95, low=-1.0, below=1.0)
    check_number("eps", eps, 1e-8)
    check_number("weight_decay", weight_decay, 0.01)
    check_steps("precondition_frequency", precondition_frequency, least=1)
    check_steps("max_precond_dim", max_precond_dim)
    beta1, beta2 = betas
    gram_beta: Hyper
    if isinstance(shampoo_beta, Tensor):
        gram_beta = torch.where(shampoo_beta >= 0, shampoo_beta, beta2)
    else:
        gram_beta = shampoo_beta if shampoo_beta >= 0 else beta2

    def has_basis(param: Tensor, dim: int) -> bool:
        return dim < param.ndim and (param.ndim > 1 or precondition_1d) and 0 < param.shape[dim] <= max_precond_dim

    def square(dim: int) -> Callable[[Tensor], Tensor | None]:
        return lambda param: param.new_zeros(param.shape[dim], param.shape[dim]) if has_basis(param, dim) else None

    def of_count(count: Tensor) -> tuple[Tensor, ...]:
        step = count.to(torch.float64)  # 0 at the first call, which makes no step
        size = torch.ones_like(step)
        if correct_bias:
            size = (1 - beta2**step).sqrt() / torch.clamp(1 - beta1**step, min=1e-300)
        return count + 1, count > 0, torch.remainder(count, precondition_frequency) == 0, size

    def at_rate(rate: Hyper) -> GradientTransformation:
        def update(
            grad: Tensor, state: State, param: Tensor, count: Tensor, begun: Tensor, due: Tensor, size: Tensor
        ) -> tuple[Tensor, State]:
            dims = [dim for dim in range(param.ndim) if has_basis(param, dim)]
            bases = [state[f"basis_{dim}"] for dim in dims]
            projected = _turned(grad, dims, bases, into=True)
            mean = beta1 * state["exp_avg"] + (1 - beta1) * projected
            moment = beta2 * state["exp_avg_sq"] + (1 - beta2) * projected * projected
            mean, moment = torch.where(begun, mean, 0.0), torch.where(begun, moment, 0.0)
            step = _turned(mean / (moment.sqrt() + eps), dims, bases, into=False)
            if normalize_grads:
                step = step / (1e-30 + step.square().mean().sqrt())
            moved = -(rate * size) * step
            moved = moved - rate * weight_decay * (param + moved)
            grams = [state[f"gram_{dim}"] + (1 - gram_beta) * (_gram(grad, dim) - state[f"gram_{dim}"]) for dim in dims]
            mean, moment, *bases = refreshed(mean, moment, dims, grams, bases, due, begun)
            new = {"step": count, "exp_avg": mean, "exp_avg_sq": moment}
            new |= {f"gram_{dim}": gram for dim, gram in zip(dims, grams, strict=True)}
            new |= {f"basis_{dim}": basis for dim, basis in zip(dims, bases, strict=True)}
            return torch.where(begun, moved, 0.0), new

        return per_parameter(update, state, of_count)

    state: dict[str, StateInit] = {"step": zero_count, "exp_avg": _mean, "exp_avg_sq": zeros}
    state |= {f"{name}_{dim}": square(dim) for name in ("gram", "basis") for dim in range(MOST_DIMS)}
    return with_learning_rate(lr, at_rate)


def _mean(param: Tensor) -> Tensor:
    if param.is_complex() or param.ndim > MOST_DIMS:
        raise OptimizerError(
            f"A parameter of shape {list(param.shape)} and {param.dtype} was passed to SOAP.",
            f"SOAP trains real parameters of at most {MOST_DIMS} dimensions.",
            "Train it with AdamW, for example by partition({name: adamw(1e-3), ...}).",
        )
    return zeros(param)


def _turned(value: Tensor, dims: Sequence[int], bases: Sequence[Tensor], *, into: bool) -> Tensor:
    """``value`` with each of ``dims`` multiplied by its basis, or by its transpose to come back."""
    for dim, basis in zip(dims, bases, strict=True):
        matrix = basis if into else basis.T
        value = (value.movedim(dim, -1) @ matrix).movedim(-1, dim)
    return value


def _gram(grad: Tensor, dim: int) -> Tensor:
    """``[n, n]``: the products of the slices of a gradient along one dimension."""
    rows = grad.movedim(dim, 0).reshape(grad.shape[dim], -1)
    return rows @ rows.T
