"""What concerns the ranks of a job: what each has for itself, and what they agree on, without a pickle between them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import distributed

from tessera.errors import CheckpointError

_log = logging.getLogger(__name__)


def by_rank(own: Any) -> dict[str, Any]:
    """State that each rank has its own of, so that the ranks' states do not meet under one name."""
    return {f"rank{rank_of()}": own}


def of_this_rank(states: Mapping[str, Any]) -> Any:
    """This rank's part of what `by_rank` made on all of them; None, said in the log, if it was not there then."""
    own = states.get(f"rank{rank_of()}")
    if own is None:
        _log.warning(
            "The snapshot has random generators of %d ranks, and this is rank %d: it keeps its own.",
            len(states),
            rank_of(),
        )
    return own


def rank_of(group: Any = None) -> int:
    """This process's number in ``group``; 0 for a process on its own."""
    return distributed.get_rank(group) if _together() else 0


def new_group() -> Any:
    """A group for the background: its messages never meet those of the training. None for a process on its own."""
    return distributed.new_group(backend="gloo") if _together() else None


def from_first(number: int, group: Any = None) -> int:
    """The number that rank 0 has."""
    if not _together():
        return number
    told = torch.tensor([number if rank_of(group) == 0 else 0], dtype=torch.int64, device=_device(group))
    distributed.all_reduce(told, group=group)
    return int(told)


def agree(error: Exception | None, group: Any = None) -> None:
    """Go on if no rank has an error.

    Raises:
        Exception: this rank's error.
        CheckpointError: another rank has one.
    """
    failed = 0 if error is None else 1
    if _together():
        told = torch.tensor([failed], dtype=torch.int64, device=_device(group))
        distributed.all_reduce(told, group=group)
        failed = int(told)
    if error is not None:
        raise error
    if failed:
        raise CheckpointError(
            f"{failed} of the other ranks could not load the snapshot.",
            "A snapshot is loaded by all ranks or by none.",
            "Read the error of the rank that failed.",
        )


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _device(group: Any) -> str:
    return "cuda" if distributed.get_backend(group) == "nccl" else "cpu"
