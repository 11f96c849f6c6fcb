"""The state of every random generator that is there without being made: Python's, NumPy's, torch's, each GPU's."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tessera.random.seeding import seed as set_seed


def get_state() -> dict[str, Any]:
    """A copy of all states; as long as no GPU has been used, there is none of a GPU."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - programs that use it are resumed too
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_state(state: Mapping[str, Any]) -> None:
    """Put back what ``get_state`` returned: the same numbers are drawn again."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002 - as above
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        # On a machine with fewer GPUs the first ones go on, which are the ones there.
        for device, device_state in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
            torch.cuda.set_rng_state(device_state, device)


@contextmanager
def random_state(start: int | Mapping[str, Any] | None = None) -> Iterator[None]:
    """Random numbers inside leave no trace: all generators are as before afterwards. Also a decorator.

    Args:
        start: a seed or a state from ``get_state`` that the inside begins with; None goes on from where it is.

    Raises:
        SettingError: the seed is none; see ``seed``.

    Example:
        >>> with tessera.random_state(0):
        ...     validation_noise = torch.randn(3)
    """
    before = get_state()
    try:
        if isinstance(start, Mapping):
            set_state(start)
        elif start is not None:
            set_seed(start)
        yield
    finally:
        set_state(before)
