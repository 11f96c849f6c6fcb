"""Seconds to the first step of a GPT in a second process: what a first process compiled is in its caches or in a file.

The clock runs from behind the imports, the model and the optimizer to the end of the first step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import torch

import tessera
from benchmarks import gpt, gpt_jax
from benchmarks.measure import Absent, NotMeasured, Outcome, Timing
from benchmarks.plan import Plan
from benchmarks.row import Part, compared

ARTEFACT, CACHED = "Tessera, loaded from a file", "Tessera, cache warm"
TORCH, JAX = "torch.compile, cache warm", "JAX, cache warm"
WAYS = (ARTEFACT, CACHED, TORCH, JAX)
ROUNDS = 5
_LR, _DECAY = 3e-4, 0.01


def measure(plan: Plan, size: gpt.Size | None = None) -> Part:
    """One row for each peer of the loaded file, and one for Tessera's own warm cache."""
    size = size or gpt.Size()
    rounds = min(ROUNDS, 2) if plan.quick else ROUNDS
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    absent: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="first_step_") as folder:
        for number in range(rounds + 1):  # the first fills the caches and writes the file
            for way in WAYS:
                plan.say(f"  {way}, process {number}")
                told = _process(way, Path(folder), size)
                if isinstance(told, str):
                    absent[way] = told
                elif number:
                    taken[way].append(told)
    outcomes: dict[str, Outcome] = {
        way: Absent(absent[way])
        if way in absent
        else Timing(tuple(s for s, _ in taken[way]), taken[way][0][1], median(s for s, _ in taken[way]))
        for way in WAYS
    }
    title = f"{gpt.described(size)}, seconds to the first step in a second process, imports apart"
    ours = outcomes[ARTEFACT]
    return Part(
        [
            compared(title, TORCH, ours, outcomes[TORCH], least=3.0),
            compared(title, JAX, ours, outcomes[JAX], least=1.0),
            compared(title, CACHED, ours, outcomes[CACHED]),
        ]
    )


def _process(way: str, folder: Path, size: gpt.Size) -> tuple[float, float] | str:
    """Seconds and loss of the first step in a new process, or why there are none."""
    own = folder / str(WAYS.index(way))
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(own / "inductor"), "XDG_CACHE_HOME": str(own / "cache")}
    command = [sys.executable, "-m", "benchmarks.first_step", way, str(own), json.dumps(asdict(size))]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if found.returncode:
        return (found.stderr.strip().splitlines() or ["it failed"])[-1]
    seconds, loss = json.loads(found.stdout.splitlines()[-1])
    return seconds, loss


def first_step(way: str, folder: Path, size: gpt.Size) -> tuple[float, float]:
    """Seconds to the first step in this process, and its loss."""
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cpu")
    module, batch = gpt.model(size, device), gpt.batch(size, device)
    if way == JAX:
        return _jax(module, batch, size, folder)
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=_LR, weight_decay=_DECAY, fused=True if way == TORCH else None
    )
    file = folder / "step.tessera"
    _ = (tessera.load, tessera.train_step)  # names load what they need when they are first used
    began = time.perf_counter()
    if way == TORCH:
        loss = torch.compile(lambda x, y: gpt.cross_entropy(module(x), y))(*batch)
        loss.backward()
        optimizer.step()
        return time.perf_counter() - began, float(loss)
    if way == ARTEFACT and file.exists():
        step = tessera.load(file, model=module, optimizer=optimizer)
    else:
        step = tessera.train_step(module, gpt.cross_entropy, optimizer)
    loss = step(*batch)
    seconds = time.perf_counter() - began
    if way == ARTEFACT and not file.exists():
        step.save(file)
    return seconds, float(loss)


def _jax(
    module: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor], size: gpt.Size, folder: Path
) -> tuple[float, float]:
    try:
        import jax
    except ModuleNotFoundError as error:
        raise NotMeasured("JAX is not installed") from error
    for name, value in (
        ("jax_compilation_cache_dir", str(folder)),
        ("jax_persistent_cache_min_compile_time_secs", 0.0),
        ("jax_persistent_cache_min_entry_size_bytes", -1),
    ):
        jax.config.update(name, value)
    step, wait = gpt_jax.step_and_wait(module, batch, size.heads, _LR, _DECAY, "float32")
    began = time.perf_counter()
    loss = step()
    wait()
    return time.perf_counter() - began, float(loss)


def main(argv: Sequence[str]) -> None:
    """``python -m benchmarks.first_step WAY FOLDER SIZE``: the second process."""
    way, folder, size = argv
    print(json.dumps(first_step(way, Path(folder), gpt.Size(**json.loads(size)))))


if __name__ == "__main__":
    main(sys.argv[1:])
