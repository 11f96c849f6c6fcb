"""What a module is put back to: its modes after training or validation, its buffers after a step that failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tessera.explain.door import explain


@contextmanager
def mode(module: torch.nn.Module, *, training: bool) -> Iterator[None]:
    """Put ``module`` in train or eval mode; every submodule gets its own mode back, also after an error.

    An error of torch's is told in Tessera's words: what trains and predicts runs the module in here.
    """
    before = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    except Exception as error:
        explain(error)
        raise
    finally:
        for part, was in before:
            part.training = was


@contextmanager
def buffers_kept(module: torch.nn.Module) -> Iterator[None]:
    """After an error give all buffers of ``module`` the values they had: a forward that ran may have changed them."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
        raise
