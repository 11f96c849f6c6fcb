"""What a module answers to a batch, found out without leaving a trace in it."""

from __future__ import annotations

import copy
from typing import Any

import torch

from tessera.train.batches import Batch


def probe(module: torch.nn.Module, batch: Batch) -> Any | None:
    """The prediction of ``module`` for ``batch`` in eval mode, or None where it fails.

    It comes from a copy that shares the parameters and nothing else, so buffers, counters and lists of the module
    stay as they are; torch's random numbers too.
    """
    devices = {x.device for x in batch.inputs if x.device.type == "cuda"}
    try:
        twin = copy.deepcopy(module, {id(p): p for p in module.parameters()}).eval()
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            return twin(*batch.positional, **batch.named)
    except Exception:  # noqa: BLE001 - whatever is wrong with the model is told better by the step itself
        return None
