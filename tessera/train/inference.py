"""A module as it answers in use: eval mode, no gradients, the weights that its optimizer averages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from tessera.errors import OptimizerError
from tessera.optim.optimizer import Optimizer
from tessera.train.modes import mode


@contextmanager
def inference(module: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None) -> Iterator[None]:
    """Inside, ``module`` is in eval mode, records no gradients, and has the weights to be used.

    Every submodule gets its own mode back, and the parameters those that are trained.

    Args:
        optimizer: the one whose averaged weights are used; None for the parameters as they are.

    Raises:
        OptimizerError: it is none of ``tessera.optim``, which alone keep such weights.
    """
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise OptimizerError(
            f"optimizer is a {type(optimizer).__module__}.{type(optimizer).__qualname__}.",
            "It is the optimizer whose averaged weights are used, one of tessera.optim.",
            "Leave it out to use the parameters as they are, or train with tessera.optim.ema_weights in a chain.",
        )
    with ExitStack() as stack:
        if optimizer is not None:
            stack.enter_context(optimizer.averaged_weights())
        stack.enter_context(mode(module, training=False))
        stack.enter_context(torch.no_grad())
        yield
