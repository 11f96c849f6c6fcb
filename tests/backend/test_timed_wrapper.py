from __future__ import annotations

import time

import pytest
import torch

from tessera.backend import timed_wrapper
from tessera.backend.inductor import compile_program
from tessera.backend.timed_wrapper import TimedWrapper
from tests.backend.hand_made import program

A, B = torch.rand(64, 64), torch.rand(64, 64)


def layer(a, b):
    return torch.relu(torch.mm(a, b)).sum(-1), torch.sort(a, -1)[0]


def pointwise(a, b):
    return (torch.tanh(a) * b,)


@pytest.mark.parametrize("function", [layer, pointwise])
def test_it_computes_the_same_and_times_every_call(function):
    executable = compile_program(program(function, A, B))
    plain, native = executable.call, executable.native
    expected = executable.run([A, B])
    timed = TimedWrapper(executable)
    timed.start()
    inputs = [A, B]
    found = executable.run(inputs)
    timed.stop()
    assert inputs == []
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert (executable.call, executable.native) == (plain, native)
    (run,) = timed.runs
    assert len(run.events) == len(executable.compilation.calls)
    times = [run.begin, *(moment for both in run.events for moment in both), run.end]
    assert times == sorted(times)


def test_gradients_are_off_inside_and_as_before_outside():
    executable = compile_program(program(pointwise, A, B))
    timed = TimedWrapper(executable)
    timed.start()
    (result,) = executable.run([A.clone().requires_grad_(), B])
    assert not result.requires_grad
    assert torch.is_grad_enabled()


def test_many_runs_are_thinned(monkeypatch):
    monkeypatch.setattr(timed_wrapper, "LARGEST", 8)
    executable = compile_program(program(pointwise, A, B))
    timed = TimedWrapper(executable)
    timed.start()
    for _ in range(100):
        executable.run([A, B])
    timed.counting = False
    executable.run([A, B])
    assert timed.seen == 100
    assert 0 < len(timed.runs) < 8


def test_an_error_of_a_kernel_passes():
    executable = compile_program(program(pointwise, A, B))
    timed = TimedWrapper(executable)
    timed.start()
    with pytest.raises((TypeError, ValueError)):
        executable.run([A])
    assert timed.runs == []
    assert torch.is_grad_enabled()


def test_the_clock_costs_little():
    a = torch.rand(384, 384)

    def chain(a):
        for _ in range(8):
            a = torch.tanh(torch.mm(a, a))
        return (a,)

    executable = compile_program(program(chain, a))
    timed = TimedWrapper(executable)

    def best(calls: int = 15) -> float:
        found = []
        for _ in range(calls):
            began = time.perf_counter()
            executable.run([a])
            found.append(time.perf_counter() - began)
        return min(found)

    plain = best()
    timed.start()
    assert min(best(), best()) < 1.2 * plain  # a busy machine; alone it is within one per cent
