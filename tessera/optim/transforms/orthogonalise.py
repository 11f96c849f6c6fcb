"""Muon's direction: the nearest orthogonal matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zeros

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: steep at zero, and between 0.7 and 1.2 afterwards (Jordan et al. 2024)."""

_SCALES = {
    None: lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
}


@names_checked
def orthogonalise(
    momentum: Hyper = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = COEFFICIENTS,
    eps: Hyper = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> GradientTransformation:
    """Replace the momentum ``B`` of a matrix by about the nearest matrix with orthogonal rows or columns.

        B_t = momentum * B_(t-1) + (1 - momentum) * g_t                   momentum_buffer
        X = (1 - momentum) * g_t + momentum * B_t  if nesterov else  B_t
        X = X / max(|X|, eps)
        ns_steps times:  A = X X';  X = a X + (b A + c A A) X             in bfloat16, on the short side
        update = X * sqrt(max(1, rows / columns))             match_rms_adamw:  X * 0.2 * sqrt(max(rows, columns))

    Args:
        momentum: decay rate of the running mean of the gradient.
        nesterov: look one step ahead.
        ns_coefficients: a, b and c.
        eps: least norm to divide by.
        ns_steps: Newton-Schulz iterations, from 0 to 99.
        adjust_lr_fn: None or "original", or "match_rms_adamw" for updates about as large as AdamW's.

    Raises:
        OptimizerError: a number out of its range; later, a parameter that is not a real matrix.

    References:
        Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.
        Liu et al., Muon is scalable for LLM training, 2025, arXiv:2502.16982 (match_rms_adamw).

    Example:
        >>> tx, param = orthogonalise(ns_steps=30), torch.zeros(2, 2)
        >>> update = tx.update([torch.tensor([[3.0, 0.0], [0.0, 2.0]])], [tx.init(param)], [param])[0][0]
        >>> bool(((update - torch.eye(2)).abs() < 0.4).all())
        True
    """
    check_number("momentum", momentum, 0.95)
    check_number("eps", eps, 1e-7)
    if not isinstance(ns_coefficients, tuple | list) or len(ns_coefficients) != 3:
        raise OptimizerError(
            f"ns_coefficients={ns_coefficients!r} was passed.",
            "ns_coefficients is three numbers: a, b and c of the iteration.",
            f"Write ns_coefficients={COEFFICIENTS}.",
        )
    for index, coefficient in enumerate(ns_coefficients):
        check_number(f"ns_coefficients[{index}]", coefficient, COEFFICIENTS[index], low=-math.inf)
    if isinstance(ns_steps, bool) or not isinstance(ns_steps, int) or not 0 <= ns_steps < 100:
        raise OptimizerError(
            f"ns_steps={ns_steps!r} was passed.",
            "ns_steps is a whole number from 0 to 99.",
            "Write for example ns_steps=5.",
        )
    if adjust_lr_fn not in _SCALES:
        raise OptimizerError(
            f"adjust_lr_fn={adjust_lr_fn!r} was passed.",
            'adjust_lr_fn is None, "original" or "match_rms_adamw".',
            'Write for example adjust_lr_fn="match_rms_adamw".',
        )

    def update(grad: Tensor, state: State, param: Tensor) -> tuple[Tensor, State]:
        buffer = state["momentum_buffer"] + (1 - momentum) * (grad - state["momentum_buffer"])
        ahead = grad + momentum * (buffer - grad) if nesterov else buffer
        direction = _newton_schulz(ahead, ns_coefficients, ns_steps, eps)
        rows, columns = param.shape
        size = _SCALES[adjust_lr_fn](rows, columns) if param.numel() else 1.0
        return direction.to(param.dtype) * size, {"momentum_buffer": buffer}

    return per_parameter(update, {"momentum_buffer": _buffer})


def _buffer(param: Tensor) -> Tensor:
    check_matrix(param)
    return zeros(param)


def check_matrix(param: Tensor) -> None:
    """Raise unless ``param`` is a real matrix.

    Raises:
        OptimizerError: it is not.
    """
    if param.ndim != 2 or param.is_complex():
        raise OptimizerError(
            f"A parameter of shape {list(param.shape)} and {param.dtype} was passed to Muon.",
            "Muon trains real matrices: the weights of hidden linear layers.",
            "Write partition([(lambda p: p.ndim == 2, muon(2e-2)), (lambda p: True, adamw(3e-4))]) for the others.",
        )


def _newton_schulz(matrix: Tensor, coefficients: Sequence[float], steps: int, eps: Hyper) -> Tensor:
    """bfloat16 ``[n, m]``; the sequence of operations is torch's, so that roundings agree."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.to(torch.bfloat16)
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
