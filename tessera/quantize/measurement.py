"""Measuring a quantized model beside the one it was made from, on the user's data."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from tessera.capture.compile import compile as compile_module
from tessera.quantize.report import Speed, relative_error
from tessera.quantize.state import changed_by, state_kept
from tessera.train.batches import Batch
from tessera.train.inference import inference

_CALLS, _PATIENCE_S = 15, 4.0


def output_error(before: torch.nn.Module, after: torch.nn.Module, batches: list[Batch]) -> float:
    """Relative error of all floating point outputs together; infinite where shapes differ.

    What a call writes into buffers the next one finds there, so caches are rounded from the second batch on.
    """
    exact, found = [], []
    with inference(before), inference(after), state_kept(before), state_kept(after):
        for batch in batches:
            exact += [t.flatten() for t in _floats(before(*batch.positional, **batch.named))]
            found += [t.flatten() for t in _floats(after(*batch.positional, **batch.named))]
    if not exact or [t.shape for t in exact] != [t.shape for t in found]:
        return float("inf") if exact else 0.0
    return relative_error(torch.cat(exact), torch.cat(found))


def speed(before: torch.nn.Module, after: torch.nn.Module, batch: Batch, mode: str) -> Speed:
    """Time both in turn, so that what else this machine does falls on both.

    Args:
        mode: ``"eager"``, or ``"compiled"`` for both as ``tessera.compile`` makes them.
    """
    models = (before, after)
    calls: Any = [compile_module(m, mode="inference") for m in models] if mode == "compiled" else models
    times: tuple[list[float], list[float]] = ([], [])
    with inference(before), inference(after):
        changing = [changed_by(m, lambda m=m: m(*batch.positional, **batch.named)) for m in models]  # type: ignore[misc]
        for call, model, names in zip(calls, models, changing, strict=True):
            for _ in range(2):
                with state_kept(model, names):
                    call(*batch.positional, **batch.named)
        end = time.perf_counter() + _PATIENCE_S
        while len(times[1]) < 3 or (len(times[1]) < _CALLS and time.perf_counter() < end):
            for call, model, names, taken in zip(calls, models, changing, times, strict=True):
                with state_kept(model, names):
                    begin = time.perf_counter()
                    call(*batch.positional, **batch.named)
                    taken.append((time.perf_counter() - begin) * 1e3)
    return Speed(statistics.median(times[0]), statistics.median(times[1]), len(times[0]), mode)


def _floats(answer: Any) -> Iterator[torch.Tensor]:
    if isinstance(answer, torch.Tensor):
        if answer.is_floating_point():
            yield answer
    elif isinstance(answer, Mapping):
        for value in answer.values():
            yield from _floats(value)
    elif isinstance(answer, (tuple, list)):
        for value in answer:
            yield from _floats(value)
    elif is_dataclass(answer):
        for part in fields(answer):
            yield from _floats(getattr(answer, part.name))
