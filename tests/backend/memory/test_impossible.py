import re

import torch

from tessera.backend.memory.impossible import impossible_budget
from tessera.backend.memory.liveness import Liveness
from tessera.errors import MemoryBudgetError
from tessera.program import resolve_memory_budget
from tests.backend.memory.steps import Residual, step_program


def error_for(given, unlimited=2.0):
    made = step_program(Residual(2), (torch.rand(256, 32), torch.rand(256, 32)), make=torch.optim.Adam)
    peak = Liveness(made.graph).peak()
    return made, impossible_budget(made, resolve_memory_budget(given), peak, peak.size, int(unlimited * peak.size))


def test_it_says_what_is_needed_and_for_what():
    made, error = error_for("1KiB")
    assert isinstance(error, MemoryBudgetError | ValueError)
    text = str(error)
    assert "memory_budget='1024B'" in text
    for part in ("parameters", "optimizer state", "batch", "allocates at its peak", "training step of Residual"):
        assert part in text
    assert error.where is not None
    assert "steps.py" in error.where.file
    (smallest,) = re.findall(r"Write memory_budget='([^']+)'", text)
    needed = sum(n.meta["val"].nbytes for n in made.placeholders) + Liveness(made.graph).peak().size
    assert needed <= resolve_memory_budget(smallest).size < 1.1 * needed


def test_a_share_is_answered_by_a_share():
    _, error = error_for(0.01)
    assert "Write memory_budget=0.5," in str(error)


def test_where_nothing_is_saved_the_smallest_budget_is_none():
    _, error = error_for(0.8, unlimited=0.75)
    assert "Write memory_budget=1," in str(error)
