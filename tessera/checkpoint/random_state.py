"""The state of every random generator that is there without being made: Python's, numpy's, torch's, each GPU's."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from tessera.checkpoint.ranks import by_rank, of_this_rank


class RandomState:
    """The global generators as one object with a state; each rank has its own, under its own key.

    Generators that a program makes itself are saved as any other object is: by naming them.
    """

    def state_dict(self) -> dict[str, Any]:
        """A copy of all states; as long as no GPU has been used, there is none of a GPU."""
        state: dict[str, Any] = {
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - programs that use it are resumed too
            "torch": torch.get_rng_state(),
        }
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
        return by_rank(state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the states of this rank back. A rank that was not there when they were saved keeps its own."""
        own = of_this_rank(state)
        if own is None:
            return
        random.setstate(own["python"])
        np.random.set_state(own["numpy"])  # noqa: NPY002 - as above
        torch.set_rng_state(own["torch"])
        if "cuda" in own and torch.cuda.is_available():
            # On a machine with fewer GPUs the first ones go on, which are the ones there.
            for device, device_state in zip(range(torch.cuda.device_count()), own["cuda"], strict=False):
                torch.cuda.set_rng_state(device_state, device)
