"""What importing Tessera costs beside importing torch, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from benchmarks.measure import Make, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import Part, compared

AT_MOST = 1.15
TORCH = "import torch"
# `import tessera` alone does not even load torch: names load when they are used. So layers and optimizers are used too.
TABLE, LAYERS = "import tessera", "import tessera; tessera.nn; tessera.optim"


def measure(plan: Plan) -> Part:
    """A row for the name alone, and one for layers and optimizers, which need torch."""
    ways: dict[str, Make] = {program: partial(fresh_interpreter, program) for program in (TABLE, LAYERS, TORCH)}
    outcomes = in_turns(ways, plan, rounds=7)
    theirs = outcomes[TORCH]
    return Part(
        [compared(f"`{ours}`, a fresh Python", TORCH, outcomes[ours], theirs, most=AT_MOST) for ours in (TABLE, LAYERS)]
    )


def fresh_interpreter(program: str) -> Run:
    """Starts Python, runs the program, ends."""

    def run() -> float:
        subprocess.run([sys.executable, "-c", program], check=True, timeout=300, capture_output=True)
        return 0.0

    return run
