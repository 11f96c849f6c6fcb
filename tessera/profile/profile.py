"""``tessera.profile``: what each line of the user's file costs, in the kernels that it became."""

from __future__ import annotations

import contextlib
import json
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from tessera.backend.executables import watched
from tessera.backend.inductor import Executable
from tessera.backend.timed_wrapper import TimedWrapper
from tessera.errors import SettingError
from tessera.profile.comparison import Comparison, compare
from tessera.profile.device_peaks import Peaks, device_peaks, measure_again
from tessera.profile.eager_operations import EagerOperations
from tessera.profile.line_costs import LineCost, line_costs
from tessera.profile.trace import save_trace
from tessera.program import CallRecord, live_bytes
from tessera.train.benchmark import as_measured

logger = logging.getLogger("tessera")

_WARMUP = 3  # the first ones compile
_LEAST_CALLS, _MOST_CALLS = 5, 1000
_EAGER_SHARE = 0.1  # of the time outside of compiled code from which on it is looked at too
_SURE_MS = 0.02  # from here on the clock says how fast a product was
_PRODUCT_DTYPES = ("float32", "bfloat16", "float16", "float64")


def profile(function: Callable[..., Any] | None = None, *args: Any, min_time_s: float = 0.5, **named: Any) -> Profile:
    """What each line costs: milliseconds, bytes, FLOPs, the share of the roofline, the kernels it went into.

    ``tessera.profile(step, x, y)`` calls it until ``min_time_s`` have passed, after some calls that warm up. A module
    runs in eval mode without gradients, a training step as it trains, and both are put back after; anything else is
    called as it is. ``with tessera.profile() as found:`` profiles whatever the block does, of which numbers are sums.

    Compiled code is timed kernel by kernel, which takes less than a twentieth of its time; the times of a fused kernel
    are shared out among its lines by the work of each. What runs eagerly is timed operator by operator, which slows it
    down; its times are those inside of the operators.

    Args:
        function: what to call; None for a block.
        min_time_s: seconds to measure for.

    Raises:
        SettingError: there are arguments and nothing to call, or ``min_time_s`` is not a number from 0.

    References:
        Williams, Waterman and Patterson, Roofline: an insightful visual performance model, 2009.

    Example:
        >>> found = tessera.profile(step, x, y)
        >>> print(found)
        >>> found.save_trace("trace.json")
    """
    if function is None and (args or named):
        raise SettingError(
            "tessera.profile was called with arguments and no function.",
            "It profiles function(*args), or a block: with tessera.profile() as found.",
            "Write tessera.profile(step, x, y).",
        )
    if not min_time_s >= 0:
        raise SettingError(
            f"min_time_s={min_time_s!r} was passed.", "It is seconds, from 0.", "Write for example min_time_s=0.5."
        )
    if function is None:
        return Profile("block")
    found = Profile(getattr(function, "__name__", type(function).__name__))
    with as_measured(function):
        found.measure(lambda: function(*args, **named), min_time_s)
    return found


class Profile:
    """What a call or a block costs. ``print(profile)`` for people, ``to_json()`` for programs.

    Attributes:
        name: of what was profiled.
        calls: how many there were; 1 for a block.
        milliseconds: of one call; of a block, in all.
        lines: by what they cost.
        peaks: of the device, measured.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.milliseconds = 0.0
        self.lines: list[LineCost] = []
        self.peaks = Peaks("not measured yet")
        self._programs: list[TimedWrapper] = []
        self._eager: EagerOperations | None = None
        self._stack = contextlib.ExitStack()
        self._began = 0.0

    def __enter__(self) -> Self:
        self._stack.enter_context(self._timing())
        self._eager = self._stack.enter_context(EagerOperations())
        self._began = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._began
        self._stack.close()
        if error[0] is None:
            self._sum_up([seconds], 1)

    def measure(self, call: Callable[[], Any], min_time_s: float) -> None:
        """Profile ``call``: compiled code first, and alone, then what else there is if that is much."""
        for _ in range(_WARMUP):
            call()
        with self._timing() as programs:
            walls = _wall_times(call, min_time_s, _MOST_CALLS)
            compiled = sum(run.end - run.begin for timed in programs for run in timed.runs)
            eager_calls = 1
            if compiled < (1 - _EAGER_SHARE) * sum(walls):
                for timed in programs:
                    timed.counting = False
                with EagerOperations() as self._eager:
                    eager_calls = len(_wall_times(call, min_time_s, len(walls)))
        self._sum_up(walls, eager_calls)

    @contextlib.contextmanager
    def _timing(self) -> Iterator[list[TimedWrapper]]:
        timed: list[TimedWrapper] = []

        def watch(executable: Executable) -> None:
            timed.append(TimedWrapper(executable))
            timed[-1].start()

        with watched(watch):
            try:
                yield timed
            finally:
                for one in timed:
                    one.stop()
        self._programs = [one for one in timed if one.seen]

    def _sum_up(self, walls: list[float], eager_calls: int) -> None:
        self.calls = len(walls)
        self.milliseconds = 1e3 * statistics.median(walls)
        calls = [pair for timed in self._programs for pair in _call_times(timed, self.calls)]
        eager = list(self._eager.found.values()) if self._eager else []
        dtypes = {call.dtype for call, _ in calls} | {one.dtype for one in eager}
        self.peaks = device_peaks(None, tuple(name for name in _PRODUCT_DTYPES if name in dtypes) or ("float32",))
        for call, milliseconds in calls:
            if call.kind == "library" and call.dtype in self.peaks.flops and milliseconds > _SURE_MS:
                reached = call.flops / (milliseconds / 1e3)
                if reached > self.peaks.flops[call.dtype] > 0:
                    measure_again(self.peaks, call.dtype, reached)
        self.lines = line_costs(calls, [(one, 1 / eager_calls) for one in eager], self.peaks)
        for timed in self._programs:
            _note(timed, self.peaks)

    @property
    def compiled_milliseconds(self) -> float:
        """Of one call, inside of compiled Programs."""
        return sum(_program_milliseconds(timed) * timed.seen / self.calls for timed in self._programs)

    @property
    def records(self) -> list[CallRecord]:
        """Every kernel and library call of the compiled Programs, with its time."""
        return [call for timed in self._programs for call in timed.executable.compilation.calls]

    @property
    def memory(self) -> dict[str, list[int]]:
        """Bytes that each compiled Program has allocated during each of its calls, parameters and batch not counted."""
        made = [timed.executable.compilation for timed in self._programs]
        return {one.program: live_bytes(one.memory, len(one.calls)) for one in made}

    def save_trace(self, path: str | Path) -> None:
        """Write a trace for Perfetto or chrome://tracing.

        Raises:
            SettingError: the file cannot be written.
        """
        save_trace(path, self._programs, self._eager)

    def compare(self, other: Profile) -> Comparison:
        """What changed from this profile to ``other``, line by line."""
        return compare((self.milliseconds, self.lines), (other.milliseconds, other.lines))

    def to_json(self) -> str:
        """All of it as JSON: times in milliseconds, sizes in bytes."""
        told = {
            "name": self.name,
            "calls": self.calls,
            "milliseconds": self.milliseconds,
            "compiled_milliseconds": self.compiled_milliseconds if self.calls else 0.0,
            "peaks": asdict(self.peaks),
            "lines": [asdict(line) for line in self.lines],
            "kernels": [asdict(call) for call in self.records],
            "memory": self.memory,
        }
        return json.dumps(told, indent=2)

    def __str__(self) -> str:
        if not self.calls:
            return f"{self.name}: not run yet"
        kind = "in all" if self.calls == 1 else f"a call (median of {self.calls} calls)"
        head = [f"{self.name}: {self.milliseconds:.4g} ms {kind}, {self.compiled_milliseconds:.4g} in compiled code"]
        for timed in self._programs:
            made = timed.executable.compilation
            peak = f"; {made.share_of_peak:.0%} of peak FLOPS ({made.peak})" if made.share_of_peak else ""
            runs = f"{timed.seen} runs of {made.milliseconds:.4g} ms" if made.milliseconds else f"{timed.seen} runs"
            head.append(f"  {made.program}: {runs}, {len(made.calls)} kernels and library calls{peak}")
        head.append(f"{'ms':>9} {'share':>6} {'MB':>8} {'GFLOP':>8} {'roofline':>8}  line")
        return "\n".join([*head, *(self._row(line) for line in self.lines)])

    def _row(self, line: LineCost) -> str:
        share = line.milliseconds / self.milliseconds if self.milliseconds else 0.0
        roofline = f"{line.roofline:.0%}" if line.roofline is not None else ""
        sizes = f"{line.num_bytes / 1e6:8.2f} {line.flops / 1e9:8.3f}"
        code = f"  {line.where.code}" if line.where and line.where.code else ""
        more = f" and {len(line.calls) - 2} more" if len(line.calls) > 2 else ""
        inside = f"  [{', '.join(map(_short, line.calls[:2]))}{more}]"
        return f"{line.milliseconds:9.3f} {share:6.1%} {sizes} {roofline:>8}  {line.place}{code}{inside}"


def _wall_times(call: Callable[[], Any], min_time_s: float, most: int) -> list[float]:
    """Seconds of each call, of as many as fit into the time."""
    walls: list[float] = []
    end = time.perf_counter() + min_time_s
    while len(walls) < min(most, _LEAST_CALLS) or (time.perf_counter() < end and len(walls) < most):
        began = time.perf_counter()
        call()
        walls.append(time.perf_counter() - began)
    return walls


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:28]}...{name[-9:]}"


def _program_milliseconds(timed: TimedWrapper) -> float:
    return 1e3 * statistics.median(run.end - run.begin for run in timed.runs)


def _call_times(timed: TimedWrapper, calls: int) -> list[tuple[CallRecord, float]]:
    """Each call of a Program with its milliseconds in one of ``calls``; one that knows of none counts as a whole."""
    made = timed.executable.compilation
    scale = timed.seen / calls
    each = _medians(timed)
    if not made.calls or len(each) != len(made.calls):
        return [(CallRecord(made.program, "program"), _program_milliseconds(timed) * scale)]
    return [(call, milliseconds * scale) for call, milliseconds in zip(made.calls, each, strict=True)]


def _medians(timed: TimedWrapper) -> list[float]:
    """Milliseconds of each call in one run."""
    runs = [[1e3 * (end - begin) for begin, end in run.events] for run in timed.runs]
    return [statistics.median(times) for times in zip(*runs, strict=True)]


def _note(timed: TimedWrapper, peaks: Peaks) -> None:
    """Write what was measured into the Program's part of the Report."""
    made = timed.executable.compilation
    each = _medians(timed)
    for call, milliseconds in zip(made.calls, each, strict=False):
        call.milliseconds = milliseconds
        call.roofline = peaks.roofline_share(call, milliseconds / 1e3)
    made.milliseconds = _program_milliseconds(timed)
    products = [call for call in made.calls if call.kind == "library" and call.flops]
    if not products:
        return
    dtype = max(products, key=lambda call: call.flops).dtype or "float32"
    if peak := peaks.flops.get(dtype):
        flops = sum(call.flops for call in made.calls)
        made.share_of_peak = flops / (made.milliseconds / 1e3) / peak
        made.peak = f"{peak / 1e9:.0f} GFLOP/s measured in {dtype} on {peaks.device}"
        logger.info("Achieved %.0f%% of peak FLOPS: %s", 100 * made.share_of_peak, made.peak)
