"""Seconds from nothing compiled to the end of the first GPT step: a fresh process, an empty cache, 4 layers and 16."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial

from benchmarks import gpt
from benchmarks.measure import Absent, Make, Outcome, Timing
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, compared

SHALLOW, DEEP = 4, 16  # layers
COMPILED, JAX = "torch.compile of model and AdamW", gpt.JAX
_LONGEST_S = 600.0


def measure(plan: Plan) -> Part:
    """Rows beside both peers at both depths, and of the depths beside each other."""
    found = {}
    for layers in (SHALLOW, DEEP):
        for name in (OURS, COMPILED, JAX):
            plan.say(f"  {name}, {layers} layers, in a fresh process")
            found[name, layers] = cold(name, layers, plan)
    title = "GPT of {} layers, the first step, nothing compiled before"
    shallow, deep = (title.format(layers) for layers in (SHALLOW, DEEP))
    ours, ours_deep = found[OURS, SHALLOW], found[OURS, DEEP]
    return Part(
        [
            compared(shallow, COMPILED, ours, found[COMPILED, SHALLOW], most=0.5),
            compared(shallow, JAX, ours, found[JAX, SHALLOW]),
            compared(deep, COMPILED, ours_deep, found[COMPILED, DEEP], most=0.2),
            compared(deep, JAX, ours_deep, found[JAX, DEEP], most=1.0),
            compared(deep, f"the same of {SHALLOW}", ours_deep, _with_answer_of(ours_deep, ours), most=1.5),
        ]
    )


def cold(name: str, layers: int, plan: Plan) -> Outcome:
    """The first step of one way in a process and with a cache folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.compile_time", name, str(layers)],
                env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": folder, "XDG_CACHE_HOME": folder},
                timeout=min(plan.left_s, _LONGEST_S),
                check=True,
                capture_output=True,
                text=True,
            )
        except subprocess.CalledProcessError as error:
            return Absent(error.stderr.strip().splitlines()[-1] if error.stderr.strip() else "failed")
        except subprocess.TimeoutExpired:
            return Absent("out of time")
    seconds, answer = json.loads(done.stdout.splitlines()[-1])
    return Timing((seconds,), answer, seconds)


def first_step(name: str, size: gpt.Size) -> tuple[float, float]:
    """Seconds of the first step, compilation included, and its loss. The model is there already."""
    plan = Plan()
    ways: dict[str, Make] = {
        OURS: partial(gpt.by_tessera, plan, size, steps=1),
        COMPILED: partial(gpt.by_torch, plan, size, compiled_update=True, steps=1),
        JAX: partial(gpt.by_jax, plan, size, steps=1),
    }
    run = ways[name]()
    started = time.perf_counter()
    loss = run()
    return time.perf_counter() - started, loss


def _with_answer_of(other: Outcome, outcome: Outcome) -> Outcome:
    """Two depths have two losses, and are compared all the same."""
    if isinstance(other, Absent) or isinstance(outcome, Absent):
        return outcome
    return Timing(outcome.seconds, other.answer, outcome.ready_s)


if __name__ == "__main__":
    print(json.dumps(first_step(sys.argv[1], gpt.Size(layers=int(sys.argv[2])))))
