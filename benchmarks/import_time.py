"""What importing Tessera costs beside importing torch, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from benchmarks.measure import Make, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import Part, compared

AT_MOST = 1.15
TORCH, COMPILER = "import torch", "import torch; torch.compile(abs)"
# `import tessera` alone does not even load torch: names load when they are used. So layers and optimizers are used too.
TABLE, LAYERS = "import tessera", "import tessera; tessera.nn; tessera.optim"
FIT = "import tessera; tessera.fit; tessera.train_step"


def measure(plan: Plan) -> Part:
    """Rows for the name alone, for layers and optimizers, and, for information, for what compiles."""
    programs = (TABLE, LAYERS, TORCH, FIT, COMPILER)
    ways: dict[str, Make] = {program: partial(fresh_interpreter, program) for program in programs}
    outcomes = in_turns(ways, plan, rounds=11)
    pairs = ((TABLE, TORCH, AT_MOST), (LAYERS, TORCH, AT_MOST), (FIT, COMPILER, None))
    return Part([compared(f"`{a}`, a fresh Python", b, outcomes[a], outcomes[b], most=most) for a, b, most in pairs])


def fresh_interpreter(program: str) -> Run:
    """Starts Python, runs the program, ends."""

    def run() -> float:
        subprocess.run([sys.executable, "-c", program], check=True, timeout=300, capture_output=True)
        return 0.0

    return run
