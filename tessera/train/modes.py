"""Train and eval mode, put back exactly as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def mode(module: torch.nn.Module, *, training: bool) -> Iterator[None]:
    """Put ``module`` in train or eval mode; every submodule gets its own mode back, also after an error."""
    before = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, was in before:
            part.training = was
