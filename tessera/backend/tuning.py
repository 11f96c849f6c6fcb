"""Tries other ways to compile a Program within a time budget and keeps the fastest, measured on real inputs.

The usual way is always among them and stays unless another is clearly faster, so a Program never ends slower than it
began. What won is remembered by graph and machine: the next process compiles that way at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import fx

from tessera import torch_internals
from tessera.errors import SettingError
from tessera.program import Program
from tessera.program.remembered import Remembered, machine_name

Built = TypeVar("Built")
Run = Callable[[list[Any]], Sequence[Any]]

USUAL = "the usual way"
# What Inductor can be told; each is worth something on some processor and some graph.
WAYS: dict[str, dict[str, Any]] = {
    USUAL: {},
    "larger shares for each thread": {"cpp.min_chunk_size": 4096},
    "vectors of 256 bits": {"cpp.simdlen": 256},
    "rests of loops one by one": {"cpp.enable_loop_tail_vec": False},
    "products from Inductor's templates": {"max_autotune_gemm": True, "max_autotune_gemm_backends": "CPP,ATEN"},
}
_CLEARLY = 0.97  # of the usual way's time
_ROUNDS = 9
_KNOWN = Remembered("tuned.json")


def resolve_tune(tune: str | float | None) -> float | None:
    """Seconds to tune for, of ``"30s"`` or a number; None: not at all.

    Raises:
        SettingError: it is neither.
    """
    if tune is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?s?", tune.strip()) if isinstance(tune, str) else None
    number = float(found[1]) if found else tune
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
        raise SettingError(
            f"tune={tune!r} was passed.",
            "It is how long other ways to compile may be tried, in seconds.",
            'Write tune="30s", or tune=30.',
        )
    return float(number)


def tuned(
    program: Program, build: Callable[[], Built], run_of: Callable[[Built], Run], seconds: float
) -> tuple[Built, list[str]]:
    """The fastest of what ``build`` makes under different settings, and what was tried, for the Report.

    Args:
        program: behind the pipeline; its ``examples`` are what is measured with, copies of them.
        build: compiles it.
        run_of: what is called of what was built.
        seconds: after which nothing further is tried.
    """
    name = _name(program)
    known = _KNOWN.get(name)
    if known in WAYS:
        with contextlib.suppress(Exception), torch_internals.inductor_options(WAYS[known]):  # else it is tuned anew
            return build(), [f"tuned before: {known}"]
    if not program.examples:
        return build(), ["not tuned: there are no real inputs to measure with"]
    built: dict[str, Built] = {}
    failed: list[str] = []
    end = time.perf_counter() + seconds
    longest = 0.0
    for way, options in WAYS.items():
        began = time.perf_counter()
        if built and began + longest > end:
            failed.append(f"{way}: no time left")
            continue
        try:
            with torch_internals.inductor_options(options):
                built[way] = build()
        except Exception as error:
            if way == USUAL:
                raise
            failed.append(f"{way}: {torch_internals.compiler_reason(error)}")
        longest = max(longest, time.perf_counter() - began)
    try:
        with torch_internals.outside_captures():
            times = measured({way: run_of(one) for way, one in built.items()}, program.examples)
    except Exception as error:  # what was made up may be no input for it
        return built[USUAL], [f"not tuned: {torch_internals.compiler_reason(error)}"]
    winner = choose(times)
    if not any(note.endswith("no time left") for note in failed):
        _KNOWN.put(name, winner)
    told = ", ".join(f"{way} {1e3 * statistics.median(found):.4g} ms" for way, found in times.items())
    return built[winner], [f"tuned: {told}; took {winner}", *(f"not taken: {note}" for note in failed)]


def measured(runs: Mapping[str, Run], examples: Sequence[Any]) -> dict[str, list[float]]:
    """Seconds of each run, in turns, so that whatever else the machine does hits all of them."""
    times: dict[str, list[float]] = {way: [] for way in runs}
    with torch.random.fork_rng():
        for round_ in range(_ROUNDS + 1):
            for way, run in runs.items():
                inputs = [one.detach().clone() if isinstance(one, torch.Tensor) else one for one in examples]
                began = time.perf_counter()
                run(inputs)
                if round_:  # the first one warms up
                    times[way].append(time.perf_counter() - began)
    return times


def made_up(program: Program) -> list[Any]:
    """Inputs of the shapes, layouts and dtypes of a Program's, for where there are no real ones to measure with.

    Their numbers are halves, or zeros, which are an index into anything. A symbol becomes the number it was captured
    for; where there is none, there are no inputs.
    """
    with torch_internals.outside_captures(), contextlib.suppress(Exception):
        return [_made_up(node.meta["val"]) for node in program.placeholders]
    return []


def _made_up(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return torch_internals.size_hint(value)
    shape, strides = ([torch_internals.size_hint(one) for one in sizes] for sizes in (value.shape, value.stride()))
    empty = torch.empty_strided(shape, strides, dtype=value.dtype, device=value.device)
    return empty.fill_(0.5 if value.dtype.is_floating_point or value.dtype.is_complex else 0)


def choose(times: Mapping[str, Sequence[float]]) -> str:
    """The fastest way, by the median and by the best run, where both are clearly below those of the usual one."""
    usual = times[USUAL]
    best = min(times, key=lambda way: statistics.median(times[way]))
    clearly = all(of(times[best]) < _CLEARLY * of(usual) for of in (statistics.median, min))
    return best if clearly else USUAL


def _name(program: Program) -> str:
    kinds = [str(getattr(node.meta.get("val"), "shape", "")) for node in program.placeholders]
    code = "".join(one.code for one in program.graph_module.modules() if isinstance(one, fx.GraphModule))
    text = hashlib.sha256(f"{code}{kinds}".encode()).hexdigest()[:24]
    return f"{text}; {machine_name(torch.device('cpu'))}"
