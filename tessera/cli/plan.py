"""What a run would do, as text: `tessera train --dry-run`."""

from __future__ import annotations

import contextlib
from operator import length_hint
from typing import Any

import numpy as np
import torch

from tessera.backend.tuning import resolve_tune
from tessera.checkpoint.finding import snapshots
from tessera.checkpoint.manifest import read_manifest
from tessera.cli.config import Config
from tessera.cli.job import Job
from tessera.data import Loader
from tessera.errors import CheckpointError
from tessera.nn.summary import summarize
from tessera.program import resolve_memory_budget, resolve_precision
from tessera.train.batches import BatchReader
from tessera.train.labels import TRAINING_DATA
from tessera.train.settings import check_counts
from tessera.train.source import source


def plan(config: Config, job: Job) -> str:
    """The model layer by layer, the data, the steps, the optimizer, and where the run is kept."""
    settings = job.settings
    told = {
        "config": str(config.path),
        "data": _described(job.data),
        "validation": _described(settings["validation"]) if "validation" in settings else "none",
        "loss": _written(config.values.get("loss", "auto")),
        "metrics": _written(config.values.get("metrics", "none")),
        "optimizer": _written(config.values.get("optimizer", "AdamW(lr=0.001)")),
        "callbacks": _written(config.values.get("callbacks", "none")),
        "fit": _written(config.values.get("fit", "epochs=1")),
        "steps": _steps(job),
        "checkpoint": standing(job),
    }
    width = max(map(len, told))
    return "\n".join([summarize(job.module), "", *(f"{name.ljust(width)}  {one}" for name, one in told.items())])


def _steps(job: Job) -> str:
    epochs, steps = job.settings.get("epochs", 1), job.settings.get("steps")
    batch_size = job.settings.get("batch_size", 32)
    check_counts(epochs=epochs, steps=steps, batch_size=batch_size)
    resolve_precision(job.settings.get("precision", "fp32")).check_layers(job.module)
    resolve_memory_budget(job.settings.get("memory_budget"))
    resolve_tune(job.settings.get("tune"))
    reader = BatchReader.of(job.module, whole=job.settings.get("loss", "auto") is None)
    each = source(job.data, reader, TRAINING_DATA, batch_size, shuffle=False).steps
    inside = f"{each:,} an epoch" if each else "as many an epoch as the data has"
    if steps is not None:
        return f"{steps:,}; {inside}"
    return f"{each * epochs:,}; {epochs:,} x {each:,}" if each else f"{epochs:,} epochs; {inside}"


def _described(data: Any) -> str:
    if isinstance(data, (tuple, dict, torch.Tensor, np.ndarray)):
        return f"{_samples(data):,} samples in memory"
    if isinstance(data, Loader):
        samples = _length(data.dataset)
        return f"{data.dataset.describe()['source']['kind']}, " + (f"{samples:,} samples" if samples else "filtered")
    length = _length(data)
    return type(data).__name__ + (f" of {length:,}" if length else "")


def _samples(data: Any) -> int:
    first = (
        next(iter(data.values() if isinstance(data, dict) else data), ()) if isinstance(data, (tuple, dict)) else data
    )
    return _length(first)


def _length(data: Any) -> int:
    try:
        return length_hint(data)
    except TypeError:  # a loader that filters
        return 0


def standing(job: Job) -> str:
    """Where the run is kept, and how far it is."""
    if job.folder is None:
        return "none, the run cannot be resumed"
    for snapshot in reversed(snapshots(job.folder)):
        with contextlib.suppress(CheckpointError):
            how = "goes on" if job.settings.get("resume", True) else "begins anew, though something was saved"
            return f"{job.folder}, {how} after step {read_manifest(snapshot).step}"
    return f"{job.folder}, nothing saved yet"


def _written(value: Any) -> str:
    """A value of the config in one line: a table with a name as the call that it is."""
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    if not isinstance(value, dict):
        return str(value)
    name = value.get("name") or value.get("schedule") or ""
    inside = [f"{key}={_written(one)}" for key, one in value.items() if key not in ("name", "schedule")]
    return f"{name}({', '.join(inside)})" if name else ", ".join(inside)
