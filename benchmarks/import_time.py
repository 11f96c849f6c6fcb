"""What `import tessera` costs beside `import torch`, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from benchmarks.measure import Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, dearer

AT_MOST = 1.15
_TORCH = "import torch"


def measure(plan: Plan) -> Part:
    """One row."""
    ways = {OURS: partial(in_fresh_interpreter, "tessera"), _TORCH: partial(in_fresh_interpreter, "torch")}
    outcomes = in_turns(ways, plan, rounds=15)
    row = dearer("import tessera, in a fresh interpreter", _TORCH, outcomes[OURS], outcomes[_TORCH], AT_MOST)
    return Part([row])


def in_fresh_interpreter(module: str) -> Run:
    """Starts Python, imports the module, ends."""

    def run() -> float:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True, timeout=300)
        return 0.0

    return run
