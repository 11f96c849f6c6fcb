"""Momentum: a decaying sum of past gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import Hyper, check_number, is_zero
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, identity, per_parameter, zero_count, zeros


@names_checked
def trace(momentum: Hyper, dampening: Hyper = 0.0, *, nesterov: bool = False) -> GradientTransformation:
    """Replace each gradient by a decaying sum of the gradients so far.

        b_1 = g_1
        b_t = momentum * b_(t-1) + (1 - dampening) * g_t
        update = g_t + momentum * b_t  if nesterov else  b_t

    Args:
        momentum: at least 0; the plain number 0 passes gradients through and keeps no buffer.
        dampening: how much less each gradient after the first counts. Zero in most texts and in Optax.
        nesterov: look one step ahead.

    The state is torch's ``momentum_buffer``. With dampening it also has ``momentum_started``, 1 once the buffer holds
    a gradient: torch makes the buffer of the first gradient, undampened, and here it exists from the start.

    Raises:
        OptimizerError: ``momentum`` is negative, a number is not finite, or ``nesterov`` without momentum or with
            dampening.

    References:
        Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum in deep learning, 2013.

    Example:
        >>> import torch
        >>> tx, param = trace(0.9), torch.tensor(0.0)
        >>> first, state = tx.update([torch.tensor(1.0)], [tx.init(param)], [param])
        >>> tx.update([torch.tensor(1.0)], state, [param])[0]
        [tensor(1.9000)]
    """
    check_number("momentum", momentum, 0.9)
    check_number("dampening", dampening, 0.0, low=-math.inf)
    damps = not is_zero(dampening)
    if nesterov and (is_zero(momentum) or damps):
        raise OptimizerError(
            f"nesterov=True was passed with momentum={momentum!r} and dampening={dampening!r}.",
            "Nesterov's step needs a momentum above 0 and no dampening.",
            "Write for example momentum=0.9, dampening=0, nesterov=True.",
        )
    if is_zero(momentum):
        return identity()

    def update(grad: Tensor, state: State, _: Tensor) -> tuple[Tensor, State]:
        buffer = momentum * state["momentum_buffer"] + grad
        return (grad + momentum * buffer if nesterov else buffer), {"momentum_buffer": buffer}

    def dampened(grad: Tensor, state: State, _: Tensor) -> tuple[Tensor, State]:
        started = state["momentum_started"]
        buffer = torch.where(started > 0, momentum * state["momentum_buffer"] + (1 - dampening) * grad, grad)
        return buffer, {"momentum_buffer": buffer, "momentum_started": torch.ones_like(started)}

    if damps:
        return per_parameter(dampened, {"momentum_buffer": zeros, "momentum_started": zero_count})
    return per_parameter(update, {"momentum_buffer": zeros})
