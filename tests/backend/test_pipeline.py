import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tessera.backend import passes
from tessera.backend.loops.loop import run_loop
from tessera.backend.memory.liveness import Liveness, size_of
from tessera.backend.passes import chunk_rows, merge_projections
from tessera.backend.passes.recompute import RECOMPUTE
from tessera.backend.pipeline import BEFORE_AUTOGRAD, PIPELINE
from tessera.backend.precision_choice import ATTENTION
from tessera.backend.projections.worth import Verdict
from tessera.backend.runner import run_pipeline
from tessera.program import MemoryBudget, Phase, copy_graph, resolve_precision
from tests.backend.hand_made import program, run, write_back

pytestmark = pytest.mark.usefixtures("low_precision_products")

torch.manual_seed(0)
A, B, T = torch.rand(3, 4), torch.rand(4, 2), torch.tensor(3.0, dtype=torch.float64)
WEIGHTS = [torch.rand(3000) for _ in range(8)]
LARGE = [torch.rand(128, 128) for _ in range(3)]
ROWS, WIDE = torch.rand(4096, 16), torch.rand(16, 1024)
HEADS = torch.rand(1, 2, 16, 16)
FEW, CODES = torch.rand(2, 128), torch.randint(-100, 100, (64, 128), dtype=torch.int8)
INPUTS = (A, B, T, *LARGE, ROWS, WIDE, HEADS, FEW, CODES, *WEIGHTS)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """What is worth chunks begins at a size that a test can afford, and what is measured is faster."""
    monkeypatch.setattr(chunk_rows, "SMALLEST", 1 << 24)
    monkeypatch.setattr(merge_projections, "verdict_on", lambda _: Verdict(1.0, 2.0, "said"))


def something_for_every_pass():
    def function(a, b, t, x, y, z, rows, wide, q, few, codes, *weights):
        scale = 1 - torch.pow(0.9, t)
        attended = ATTENTION(q, q.exp(), q.tanh())[0]
        angle = torch.sin(torch.addmm(x, y, z) / 128)  # a product that stays as it is
        for _ in range(6):
            z = torch.mm(z.sin().sin().sin().sin().sin().sin(), y).cos().cos().cos().cos().cos().cos()  # a block
        running = run_loop(lambda h, x: [h + x], [a[0]], [a], [])[0]
        waits = torch.mm(x, y)
        rows = (rows + waits[0, 0] / 128).permute(1, 0).permute(1, 0)
        most = torch.cos(torch.mm(rows, wide)).amax(1)  # likewise
        late = waits * most[:128]
        together = torch.mm(a, b.sin()).sin() + torch.mm(a, b.cos()).cos()
        turned = torch.view_as_real(
            torch.view_as_complex(a.view(3, 2, 2)) * torch.view_as_complex(a.exp().view(3, 2, 2))
        )
        updated = [w - scale * w for w in weights]
        results = [torch.mm(a, b) / scale, torch.exp(a) + torch.exp(a), angle, late, attended, z, together, turned]
        results.append(torch.mm(few, (codes.float() / 128).t()))
        return (*results, *running, *updated)

    made = program(function, *INPUTS)
    made.precision = resolve_precision("bf16")
    write_back(made, made.placeholders[-len(WEIGHTS) :], len(WEIGHTS))
    for node in itertools.takewhile(lambda n: size_of(n) < 1 << 24, made.graph.nodes):
        node.meta["phase"] = Phase.FORWARD
    return made


def budget_below(made):
    """A little less than the Program takes when it comes to the last pass."""
    twin = replace(made, graph_module=copy_graph(made.graph_module))
    run_pipeline(twin, PIPELINE[: PIPELINE.index(RECOMPUTE)])
    inputs = sum(node.meta["val"].nbytes for node in twin.placeholders)
    return MemoryBudget(size=inputs + Liveness(twin.graph).peak().size - 1)


def test_every_pass_has_the_name_of_its_file_and_every_file_is_in_the_pipeline():
    files = {path.stem for path in Path(passes.__path__[0]).glob("*.py")} - {"__init__"}
    names = [rewrite.name for rewrite in (*BEFORE_AUTOGRAD, *PIPELINE)]
    assert set(names) == files
    assert len(names) == len(files)


def test_together_the_passes_fire_once_and_keep_the_value():
    made = something_for_every_pass()
    made.memory_budget = budget_below(made)
    before = run(made, *INPUTS)
    first = run_pipeline(made)
    assert all(record.matches and not record.note for record in first), first
    for now, then in zip(run(made, *INPUTS), before, strict=True):
        torch.testing.assert_close(now, then, rtol=1e-2, atol=1e-2)
    assert [record.matches for record in run_pipeline(made)] == [0] * len(PIPELINE)


def test_passes_that_promise_bits_keep_them():
    made = something_for_every_pass()
    before = run(made, *INPUTS)
    run_pipeline(made, [rewrite for rewrite in PIPELINE if rewrite.promise == "bitwise"])
    for now, then in zip(run(made, *INPUTS), before, strict=True):
        assert torch.equal(now, then)
