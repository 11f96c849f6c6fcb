"""What an object's state is, and how it is put back: ``state_dict`` and ``load_state_dict``, and random generators."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from tessera.checkpoint.ranks import by_rank, of_this_rank

Generators = torch.Generator | np.random.Generator | random.Random | np.random.RandomState


def state_of(value: Any) -> Any:
    """The state of an object that has one, as plain values and tensors; None for any other value."""
    if isinstance(value, type):  # a class has the methods and no state
        return None
    if isinstance(value, Generators):
        return by_rank(_state_of_generator(value))
    return value.state_dict() if callable(getattr(value, "state_dict", None)) else None


def can_load(value: Any) -> bool:
    """Whether ``load_state`` takes this object."""
    return isinstance(value, Generators) or (
        not isinstance(value, type) and callable(getattr(value, "load_state_dict", None))
    )


def load_state(value: Any, state: Any) -> None:
    """Put the state that ``state_of`` gave into an object of the same kind; a generator gets that of this rank.

    Raises:
        KeyError: a generator was given the state of another kind of generator.
    """
    if not isinstance(value, Generators):
        value.load_state_dict(state)
    elif (own := of_this_rank(state)) is not None:
        _load_generator(value, own)


def _state_of_generator(value: Generators) -> dict[str, Any]:
    if isinstance(value, torch.Generator):
        return {"torch": value.get_state()}
    if isinstance(value, np.random.Generator):
        return {"numpy": dict(value.bit_generator.state)}
    if isinstance(value, np.random.RandomState):
        return {"numpy": value.get_state(legacy=False)}
    return {"python": value.getstate()}


def _load_generator(value: Generators, state: dict[str, Any]) -> None:
    if isinstance(value, torch.Generator):
        value.set_state(state["torch"])
    elif isinstance(value, np.random.Generator):
        value.bit_generator.state = state["numpy"]
    elif isinstance(value, np.random.RandomState):
        value.set_state(state["numpy"])
    else:
        value.setstate(state["python"])
