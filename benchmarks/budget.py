"""Memory budgets for a training step of a GPT with 8 layers at T 512: predicted and measured peaks, and the time.

Each budget has a process of its own. Its activations' peak is what the process holds at most while it trains, less what
it held when everything but the step's own memory was there: imports, model, optimizer state, compiled code.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

import tessera
from benchmarks import gpt
from benchmarks.alone import resident
from benchmarks.measure import Absent, Run, in_turns, repeated
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, Row, compared
from tessera.errors import MemoryBudgetError

DEEP = gpt.Size(layers=8, length=512, batch=4)
BUDGETS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
QUICK_BUDGETS = (1.0, 0.5)
NO_BUDGET, PREDICTED = "no budget", "predicted"
_HALF, _ROUNDS, _STEPS = 0.5, 5, 2
_LEARNING_RATE = 3e-4


@dataclass(frozen=True)
class Held:
    """Bytes of activations at the peak: measured, and predicted where there is a budget."""

    peak: int
    predicted: int | None


@dataclass(frozen=True)
class Impossible:
    """A budget that nothing keeps, and the smallest one that the error names."""

    smallest: float


Outcome = Held | Impossible | Absent


def measure(plan: Plan, size: gpt.Size | None = None) -> Part:
    """Of every budget that its prediction holds and that it takes less than a larger one; of the half also its time."""
    size = size or DEEP
    title = f"{gpt.described(size)}, fp32, activations' peak"
    found: dict[float | None, Outcome] = {}
    for budget in (None, *(QUICK_BUDGETS if plan.quick else BUDGETS)):
        found[budget] = outcome = _in_a_process(plan, budget, size)
        if isinstance(outcome, Impossible):
            found.setdefault(outcome.smallest, _in_a_process(plan, outcome.smallest, size))
            break
    rows, last, larger = [], None, NO_BUDGET
    for budget, outcome in found.items():
        name = NO_BUDGET if budget is None else f"budget {budget:g}"
        rows += _rows(f"{title}, {name}", outcome, larger, last)
        if isinstance(outcome, Held):
            last, larger = outcome, name
    half, none = found.get(_HALF), found[None]
    if isinstance(half, Held) and isinstance(none, Held):
        rows.append(_ratio(f"{title}, budget {_HALF:g}", NO_BUDGET, half.peak, none.peak, most=0.6))
    rows.append(_time(plan, size))
    return Part(rows)


def _rows(work: str, outcome: Outcome, larger: str, last: Held | None) -> list[Row]:
    if isinstance(outcome, Absent):
        return [Row(work, "", outcome.reason, target="all", met=None)]
    if isinstance(outcome, Impossible):
        return [Row(work, "the error", f"impossible, at least {outcome.smallest:g}")]
    rows = []
    if outcome.predicted is None:
        rows.append(Row(work, "", _mebibytes(outcome.peak)))
    else:
        met = abs(outcome.peak - outcome.predicted) <= 0.1 * outcome.predicted
        ratio = f"{outcome.peak / outcome.predicted:.2f}x"
        rows.append(
            Row(work, PREDICTED, _mebibytes(outcome.peak), _mebibytes(outcome.predicted), ratio, "0.9x to 1.1x", met)
        )
    if last is not None:
        rows.append(_ratio(work, larger, outcome.peak, last.peak, most=None))
    return rows


def _ratio(work: str, peer: str, ours: int, theirs: int, *, most: float | None) -> Row:
    """The ratio of two peaks; without ``most`` it is to be below 1."""
    target = "< 1x" if most is None else f"<= {most:g}x"
    met = ours < theirs if most is None else ours <= most * theirs
    return Row(work, peer, _mebibytes(ours), _mebibytes(theirs), f"{ours / theirs:.2f}x", target, met)


def _time(plan: Plan, size: gpt.Size) -> Row:
    """Of a step with half a budget and of one with none, in turns in this process."""
    ways = {OURS: partial(by_budget, plan, size, _HALF), NO_BUDGET: partial(by_budget, plan, size, None)}
    outcomes = in_turns(ways, plan, rounds=_ROUNDS, units=_STEPS)
    title = f"{gpt.described(size)}, fp32, one step, budget {_HALF:g}"
    return compared(title, NO_BUDGET, outcomes[OURS], outcomes[NO_BUDGET], most=1.3)


def by_budget(plan: Plan, size: gpt.Size, budget: float | None) -> Run:
    """A repetition of some steps."""
    step, batch = _step(size, budget, plan.device)
    return repeated(lambda: step(*batch), _STEPS, plan.wait)


def _step(
    size: gpt.Size, budget: float | None, device: torch.device
) -> tuple[tessera.capture.train_step.TrainStep, tuple[torch.Tensor, torch.Tensor]]:
    module, batch = gpt.model(size, device), gpt.batch(size, device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=_LEARNING_RATE)
    return tessera.train_step(module, gpt.cross_entropy, optimizer, memory_budget=budget), batch


def _in_a_process(plan: Plan, budget: float | None, size: gpt.Size) -> Outcome:
    plan.say(f"  budget {budget}, in its own process")
    command = [sys.executable, "-m", "benchmarks.budget", json.dumps(budget), json.dumps(asdict(size))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return Absent((done.stderr.strip().splitlines() or ["it failed"])[-1])
    told = json.loads(done.stdout.splitlines()[-1])
    outcome = Impossible(**told) if "smallest" in told else Held(**told)
    plan.say(f"  {outcome}")
    return outcome


class _WhenCompiled(logging.Handler):
    """Looks at the process when a step is compiled, and has not run yet."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.before = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("compiled"):
            gc.collect()
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here
            self.before = resident("VmRSS")


@contextlib.contextmanager
def _watching() -> Iterator[_WhenCompiled]:
    logger, watch = logging.getLogger("tessera"), _WhenCompiled()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(watch)
    try:
        yield watch
    finally:
        logger.removeHandler(watch)
        logger.setLevel(level)


def held(budget: float | None, size: gpt.Size) -> Held | Impossible:
    """Train some steps in this process."""
    step, batch = _step(size, budget, torch.device("cpu"))
    try:
        with _watching() as watch:
            for _ in range(_STEPS + 1):
                step(*batch)
    except MemoryBudgetError as error:
        (smallest,) = re.findall(r"memory_budget=([\d.]+)", error.fix)
        return Impossible(float(smallest))
    return Held(resident("VmHWM") - watch.before, step.report.compilations[-1].predicted_peak)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def main(argv: Sequence[str]) -> None:
    """``python -m benchmarks.budget BUDGET SIZE``: one process."""
    budget, size = map(json.loads, argv)
    print(json.dumps(asdict(held(budget, gpt.Size(**size)))))


if __name__ == "__main__":
    main(sys.argv[1:])
