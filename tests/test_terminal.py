"""No random numbers are drawn by loading Tessera."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import random, numpy as np, torch, tessera
from tessera.random import get_state
random.seed(0)
before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()
for name in tessera.__all__:
    getattr(tessera, name)
assert "rich.console" in __import__("sys").modules
assert random.getstate() == before[0]
assert torch.equal(torch.get_rng_state(), before[1])
assert np.random.get_state()[1].tolist() == before[2]
"""


def test_loading_everything_draws_nothing():
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=120)


def test_rich_does_draw_when_it_is_loaded_otherwise():
    code = "import random; before = random.getstate(); import rich.console; assert random.getstate() == before"
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=120)
    assert b"AssertionError" in found.stderr, "no longer needed: import rich where it is used"
