"""``tessera.seed``: one number from which all random numbers of a program follow."""

from __future__ import annotations

import os
import random

import numpy as np
import torch

from tessera.errors import SettingError
from tessera.random.philox import philox

_32_BITS = 0xFFFFFFFF


def seed(number: int, *, everywhere_the_same: bool = False) -> int:
    """Seed the generators of Python, NumPy and torch, on all devices.

    In a program of one process they are what ``random.seed(number)``, ``np.random.seed(number % 2**32)`` and
    ``torch.manual_seed(number)`` make them. Every other rank of a distributed program, and every worker of a
    ``DataLoader``, gets a seed of its own that follows from ``number``. Called again with the same number, the same
    numbers are drawn again; until then every call of a random function draws others, eagerly and compiled alike.

    Args:
        number: from -2^63 to 2^64 - 1.
        everywhere_the_same: seed all ranks alike, for weights that each rank makes itself.

    Returns:
        The seed that this process was given.

    Raises:
        SettingError: ``number`` is not such a number.

    Example:
        >>> tessera.seed(0)
        0
        >>> first = torch.rand(3)
        >>> _ = tessera.seed(0)
        >>> assert torch.equal(torch.rand(3), first)
    """
    if isinstance(number, bool) or not isinstance(number, int) or not -(2**63) <= number < 2**64:
        raise SettingError(
            f"tessera.seed({number!r}) was called.",
            "A seed is a whole number from -2**63 to 2**64 - 1.",
            "Write for example tessera.seed(0).",
        )
    own = number if everywhere_the_same else of_this_process(number)
    random.seed(own)
    np.random.seed(own & _32_BITS)  # noqa: NPY002 - the old interface is what programs draw from
    torch.manual_seed(own)
    return own


def of_this_process(number: int) -> int:
    """The seed of this rank and data worker; ``number`` itself for the first rank outside of workers."""
    rank, worker = _rank(), torch.utils.data.get_worker_info()
    if rank == 0 and worker is None:
        return number
    words = philox((number & _32_BITS, number >> 32 & _32_BITS), (rank, 0 if worker is None else worker.id + 1, 0, 0))
    return (words[0] << 32 | words[1]) >> 1


def _rank() -> int:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    told = os.environ.get("RANK", "0")  # torchrun says it before the group is made
    return int(told) if told.isdecimal() else 0
