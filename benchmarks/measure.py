"""Runs the ways to do one piece of work in turn, so that a busy machine is busy for all of them."""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.plan import Plan

Run = Callable[[], float]
"""One repetition. It returns a loss, or another number that is equal for all who do the same work, and it returns only
when all it started has finished."""

Make = Callable[[], Run]
"""Prepares a way to do the work: imports, builds the model. The first repetition compiles."""

PEERS = ("jax", "jaxlib", "optax")  # what the extra `peers` installs


class NotMeasured(Exception):
    """Raised by a ``Make`` that has a reason not to take part; the table shows the reason."""


@dataclass(frozen=True)
class Timing:
    """What was measured of one way.

    Attributes:
        seconds: for one unit of work, of every repetition that counts.
        answer: what the first repetition returned.
        ready_s: seconds from nothing to the end of the first repetition, compilation included.
    """

    seconds: tuple[float, ...]
    answer: float
    ready_s: float

    @property
    def median(self) -> float:
        """Of ``seconds``."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a part of the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median


@dataclass(frozen=True)
class Absent:
    """A way that was not measured, and why."""

    reason: str


Outcome = Timing | Absent


def in_turns(
    ways: Mapping[str, Make],
    plan: Plan,
    *,
    rounds: int,
    units: int = 1,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Outcome]:
    """Measure every way: one repetition of each, then the next of each.

    Args:
        ways: name -> way; the first is Tessera's.
        rounds: repetitions that count; ``plan`` may lower it.
        units: how many units of work, such as steps, a repetition does.
        warmup: repetitions after the first that do not count.
        clock: seconds.

    Returns:
        name -> outcome, in the order of ``ways``. One that raises is absent, and the others go on.
    """
    absent: dict[str, Outcome] = {}
    runs: dict[str, Run] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, float] = {}
    ready_s: dict[str, float] = {}

    def leave_out(name: str, error: Exception) -> None:
        absent[name] = Absent(_reason(error, plan))
        runs.pop(name, None)
        plan.say(f"  {name}: {absent[name]}")

    for name, make in ways.items():
        plan.say(f"  preparing {name}")
        started = clock()
        try:
            runs[name] = make()
            answers[name] = runs[name]()
        except Exception as error:  # noqa: BLE001 - a peer that fails is a row that says so
            leave_out(name, error)
        ready_s[name] = clock() - started
    rounds = plan.rounds(rounds)
    for number in range(warmup + rounds):
        plan.say(f"  warming up {number + 1}" if number < warmup else f"  round {number + 1 - warmup} of {rounds}")
        for name in _turned(list(runs), number):
            started = clock()
            try:
                runs[name]()
            except Exception as error:  # noqa: BLE001 - likewise
                leave_out(name, error)
            else:
                seconds[name].append((clock() - started) / units)
    timings = {name: Timing(tuple(seconds[name][warmup:]), answers[name], ready_s[name]) for name in runs}
    return {name: timings.get(name) or absent[name] for name in ways}


def repeated(step: Callable[[], object], times: int, wait: Callable[[], object]) -> Run:
    """A repetition of ``times`` steps that return their loss; ``wait`` waits for the device."""

    def run() -> float:
        loss: object = None
        for _ in range(times):
            loss = step()
        wait()
        return float(loss)  # type: ignore[arg-type]  # a tensor or a JAX array of one number

    return run


def _turned(names: list[str], number: int) -> list[str]:
    """Each round begins with another, so that nobody always comes after the same one."""
    start = number % max(1, len(names))
    return names[start:] + names[:start]


def _reason(error: Exception, plan: Plan) -> str:
    if isinstance(error, NotMeasured):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in PEERS:
        return "not installed"
    plan.say("".join(traceback.format_exception(error)))
    first_line = (str(error).strip() or "no message").splitlines()[0]
    return f"failed: {type(error).__name__}: {first_line[:60]}"
