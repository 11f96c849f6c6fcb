"""Random numbers of a user's functions: the same for a sample whoever works on it.

A sample's numbers follow from (seed, epoch, position in the epoch), never from what was drawn before it. A function
with a parameter ``rng`` gets a generator made for it. Any other may draw from Python's, NumPy's and torch's global
generators: these are set anew for every sample, and put back afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tessera.data.permutation import mix

State = tuple[Any, ...]


def generator(*key: int) -> np.random.Generator:
    """A generator for one sample in one function."""
    return np.random.Generator(np.random.Philox(key=mix(*key)))


def seed_globals(*key: int) -> None:
    """Set the global generators of Python, NumPy and torch (on the CPU) for one sample."""
    word = mix(*key)
    random.seed(word)
    np.random.seed(word & 0xFFFFFFFF)  # noqa: NPY002 - the old interface is what users' functions draw from
    torch.default_generator.manual_seed(word)


def globals_state() -> State:
    """Where the global generators stand."""
    return random.getstate(), np.random.get_state(), torch.default_generator.get_state()  # noqa: NPY002 - likewise


def moved(before: State) -> str | None:
    """Whose global generator no longer stands where it stood."""
    python, (_, keys, place, *_), torch_state = before
    _, now, now_place, *_ = np.random.get_state()  # noqa: NPY002 - likewise
    if random.getstate() != python:
        return "Python's"
    if place != now_place or not np.array_equal(keys, now):
        return "NumPy's"
    return None if torch.equal(torch_state, torch.default_generator.get_state()) else "torch's"


@contextmanager
def globals_kept() -> Iterator[State]:
    """Put the global generators back at the end."""
    before = globals_state()
    try:
        yield before
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002 - likewise
        torch.default_generator.set_state(before[2])
