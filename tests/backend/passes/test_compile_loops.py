import pytest
import torch

from tessera.backend.loops import compiled_loop, loop
from tessera.backend.loops.loop import run_loop
from tessera.backend.passes.compile_loops import compile_loops
from tests.backend.hand_made import program, run

X, H = torch.rand(6, 3), torch.rand(3)


def looping(x, h):
    (last,), (ys,) = run_loop(lambda h, x: [h * x, h + x], [h], [x], [])
    return last, ys


@pytest.fixture
def compilations(monkeypatch):
    made = []
    monkeypatch.setattr(loop, "COMPILED", {})
    monkeypatch.setattr(compiled_loop, "compile_graph", lambda *args: made.append(args) or pytest.fail("reached"))
    return made


def test_a_loop_is_compiled_and_named():
    made = program(looping, X, H)
    before = run(made, X, H)
    assert compile_loops(made) == 1
    assert made.notes == ["time loop of 6 steps as one loop"]
    assert all(map(torch.equal, run(made, X, H), before))


@pytest.mark.usefixtures("compilations")
def test_a_graph_without_loops_compiles_nothing():
    made = program(lambda x, h: (x + h,), X, H)
    assert compile_loops(made) == 0
    assert made.notes == []


def test_loops_of_one_length_are_counted_and_a_failure_is_noted(monkeypatch):
    def refuse(*_):
        raise RuntimeError("not here")

    monkeypatch.setattr(loop, "COMPILED", {})
    monkeypatch.setattr(compiled_loop, "compile_graph", refuse)
    made = program(lambda x, h: (*looping(x, h), *looping(x[:2], h), *looping(x + 1, h)), X, H)
    assert compile_loops(made) == 3
    assert made.notes == [
        "time loop of 6 steps as one loop, 2 times",
        "time loop of 2 steps as one loop",
        "the turns of a time loop run eagerly: RuntimeError: not here",
    ]
