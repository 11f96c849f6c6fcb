"""Parameters that a module makes in its first call are there before an optimizer is asked for."""

from __future__ import annotations

import torch

from tessera.checkpoint.random_state import RandomState
from tessera.errors import BatchError
from tessera.train.modes import mode
from tessera.train.source import Source


def make_parameters(module: torch.nn.Module, data: Source) -> None:
    """Call ``module`` once on the first batch, in eval mode, if it has parameters to come.

    That is a ``tessera.function``, or a lazy layer of torch's. The data, and random numbers drawn by it, begin anew
    afterwards; those that the new parameters are drawn from go on.

    Raises:
        BatchError: the data is an iterator, which would lose its first batch.
    """
    if not any(torch.nn.parameter.is_lazy(parameter) for parameter in module.parameters()):
        return
    if data.once:
        raise BatchError(
            f"{type(module).__name__} has no parameters before its first call, and the training data is an iterator.",
            "The first batch would be used up for making them.",
            "Call the model on a batch before fit, or pass a list or a DataLoader.",
        )
    position, random = data.state_dict(), RandomState().state_dict()
    batch = next(iter(data.batches()))
    data.load_state_dict(position)
    RandomState().load_state_dict(random)
    with mode(module, training=False), torch.no_grad():
        module(*batch.positional, **batch.named)
