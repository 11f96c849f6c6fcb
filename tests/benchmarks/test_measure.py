"""Ways take turns, on a clock that the test turns."""

from __future__ import annotations

import pytest

from benchmarks.measure import Absent, NotMeasured, Timing, in_turns, repeated
from benchmarks.plan import Plan


class Clock:
    """Time that passes only when somebody works."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def __call__(self):
        return self.now

    def way(self, name, *costs_s, answer=0.5):
        """A way whose repetitions cost ``costs_s`` in turn, the last of them for ever."""
        left = list(costs_s)

        def run():
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return answer

        def make():
            self.now += 100.0
            return run

        return make


def test_ways_alternate_and_each_round_begins_with_another():
    clock = Clock()
    ways = {name: clock.way(name, 1.0) for name in "abc"}
    in_turns(ways, Plan(), rounds=3, warmup=0, clock=clock)
    assert "".join(clock.order) == "abc" + "abc" + "bca" + "cab"


def test_only_rounds_after_the_warm_up_count_and_units_divide():
    clock = Clock()
    ways = {"a": clock.way("a", 50.0, 40.0, 2.0, 4.0, 6.0), "b": clock.way("b", 10.0, answer=7.0)}
    found = in_turns(ways, Plan(), rounds=3, units=2, clock=clock)
    assert found["a"] == Timing((1.0, 2.0, 3.0), 0.5, 150.0)
    assert found["b"] == Timing((5.0, 5.0, 5.0), 7.0, 110.0)
    assert list(found) == ["a", "b"]


def test_a_quick_plan_has_fewer_rounds():
    clock = Clock()
    found = in_turns({"a": clock.way("a", 1.0)}, Plan(quick=True), rounds=11, clock=clock)
    assert len(found["a"].seconds) == 3


def test_median_and_spread():
    timing = Timing((1.0, 2.0, 3.0, 4.0, 100.0), 0.0, 0.0)
    assert timing.median == 3.0
    assert timing.spread == pytest.approx((4.0 - 2.0) / 2 / 3.0)
    assert Timing((1.0,), 0.0, 0.0).spread == 0.0


def raises(error):
    def make():
        raise error

    return make


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'jax'", name="jax"), "not installed"),
        (ModuleNotFoundError("No module named 'optax'", name="optax"), "not installed"),
        (ModuleNotFoundError("No module named 'tessera.gone'", name="tessera.gone"), "failed: ModuleNotFoundError"),
        (NotMeasured("JAX runs on cpu here"), "JAX runs on cpu here"),
        (RuntimeError("no kernel\nand more"), "failed: RuntimeError: no kernel"),
        (RuntimeError(), "failed: RuntimeError: no message"),
    ],
)
def test_who_cannot_take_part_is_absent_with_a_reason_and_the_others_go_on(error, reason):
    clock = Clock()
    found = in_turns({"a": raises(error), "b": clock.way("b", 1.0)}, Plan(), rounds=1, clock=clock)
    assert isinstance(found["a"], Absent)
    assert found["a"].reason.startswith(reason)
    assert found["b"].seconds == (1.0,)


def test_who_fails_on_the_way_is_absent_and_the_traceback_is_said():
    clock, said = Clock(), []
    fail_later = iter((0.1, 0.2))

    def run():
        return next(fail_later)

    found = in_turns({"a": lambda: run, "b": clock.way("b", 1.0)}, Plan(say=said.append), rounds=3, clock=clock)
    assert found["a"] == Absent("failed: StopIteration: no message")
    assert found["b"].seconds == (1.0, 1.0, 1.0)
    assert any("Traceback" in line for line in said)


def test_a_repetition_of_steps_waits_and_returns_the_last_loss():
    done = []
    run = repeated(lambda: done.append("step") or len(done), 3, lambda: done.append("wait"))
    assert run() == 3.0
    assert done == ["step", "step", "step", "wait"]
