"""Conditionals that tensors decide, program by program, captured and run as captured: as in eager, or in pieces."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

import tessera
from tessera import torch_internals
from tessera.backend.mistraced import why_mistraced
from tessera.capture.dispatch import Dispatch
from tests.contracts.odd import (
    decisions_effects,  # noqa: F401 - each module puts its programs on the list
    decisions_forms,  # noqa: F401
    decisions_gradients,  # noqa: F401
    decisions_memory,  # noqa: F401
    decisions_names,  # noqa: F401
    decisions_surroundings,  # noqa: F401
)
from tests.contracts.odd.recorder import PROGRAMS, Recorder, differences, grid, record

NAMES = sorted(name for name in PROGRAMS if name.startswith("decides_"))
FAST = (
    "decides_elif",
    "decides_early_returns",
    "decides_argument_written_afterwards",
    "decides_augmented",
    "decides_in_place_method",
    "decides_and_python",
    "decides_helper_replaced",
    "decides_gradient_of_one",
)


def call(function, args, named):
    return function(*args, **named)


def bind(function, args, named):
    return locals()


def as_captured(graph_module, inputs):
    if why_mistraced(graph_module):
        raise torch_internals.leave_alone()
    return graph_module.forward


def captured(function, backend=as_captured):
    """``function`` through a ``Dispatch`` that compiles nothing, and the ``Dispatch``."""
    dispatch = Dispatch(call, bind, backend, whole=False)
    return lambda *args, **named: dispatch(function, args, named), dispatch


class Captured(Recorder):
    """A recorder of what is captured; whole as long as nothing was broken up."""

    def __init__(self):
        super().__init__("compile", ours=False)
        self.dispatches = []

    def compile(self, function):
        through, dispatch = captured(function)
        self.dispatches.append(dispatch)
        return super().compile(through)

    @property
    def whole(self):
        return not any(dispatch.in_pieces for dispatch in self.dispatches)


def check(name):
    """Whether it stayed whole."""
    expected, found = record(name, Recorder("compile", ours=False)), record(name, Captured())
    assert not list(differences(expected.events, found.events))
    return found.whole


@pytest.mark.parametrize("name", FAST)
def test_is_as_eager(name):
    assert check(name) == (name not in IN_PIECES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_program_is_as_eager(name):
    assert check(name) == (name not in IN_PIECES)


def test_the_functions_are_what_they_were():
    def helper(x):
        return x * 2 if x.sum() > 0 else x - 1

    def f(x):
        if x.max() > 2:
            x = x + 1
        return helper(x)

    before = f.__code__, helper.__code__
    seen = []

    def backend(graph_module, inputs):
        seen.append((f.__code__, helper.__code__))
        return graph_module.forward

    compiled, dispatch = captured(f, backend)
    for sign in (1, -1, 0.1):
        assert torch.equal(compiled(sign * grid()), f(sign * grid()))
    assert not dispatch.in_pieces
    assert dispatch.misses == 1
    assert len(seen) == 1
    assert (f.__code__, helper.__code__) == before


def test_they_are_what_they_were_when_it_fails():
    def f(x):
        if x.max() > 2:
            x = x + 1
        print(end="")
        return x * 2

    before = f.__code__
    compiled, dispatch = captured(f)
    assert torch.equal(compiled(grid()), f(grid()))
    assert dispatch.in_pieces == 1
    assert f.__code__ is before


def test_what_failed_is_not_tried_for_ever():
    def f(x, n):
        if x.max() > 2:
            return x * n, x
        return x * n

    tried = []

    def backend(graph_module, inputs):
        tried.append(1)
        return graph_module.forward

    compiled, dispatch = captured(f, backend)
    for n in range(6):
        assert torch.equal(compiled(grid(0.1), n), f(grid(0.1), n))
    assert not dispatch._branches.hopeful


def test_a_source_that_is_not_what_runs_is_not_used(tmp_path):
    file = tmp_path / "edited.py"
    file.write_text("def f(x):\n    if x.sum() > 0:\n        return x * 2\n    return x - 1\n")
    names = {}
    exec(compile(file.read_text(), file, "exec"), names)
    file.write_text(file.read_text().replace("x * 2", "x * 3"))
    compiled, dispatch = captured(names["f"])
    assert torch.equal(compiled(grid()), grid() * 2)
    assert dispatch.in_pieces == 1


def test_a_function_and_its_capture_go_when_nobody_has_them():
    def make():
        def f(x):
            return x * 2 if x.sum() > 0 else x - 1

        compiled, _ = captured(f)
        compiled(grid())
        return weakref.ref(f)

    gone = make()
    gc.collect()
    assert gone() is None


class Gate(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)

    def forward(self, x):
        h = self.first(x)
        if h.mean() > 0 and not h.max() > 5:
            h = torch.tanh(h)
        else:
            h = h * 0.5
        return self.second(h)


def test_compiled_it_is_one_graph_and_the_report_names_the_line():
    gate = Gate()
    compiled = tessera.compile(gate)
    for sign in (1, -1, 20):
        mine, theirs = (sign * grid()).requires_grad_(), (sign * grid()).requires_grad_()
        result, expected = compiled(mine), gate(theirs)
        torch.testing.assert_close(result, expected)
        slopes = torch.autograd.grad(result.sum(), [mine, *gate.parameters()])
        torch.testing.assert_close(slopes, torch.autograd.grad(expected.sum(), [theirs, *gate.parameters()]))
    assert compiled.report.rung == "one graph"
    told = [note for c in compiled.report.compilations for note in c.notes if "decided by a tensor" in note]
    assert "if h.mean() > 0 and not h.max() > 5:" in told[0]
    assert "test_attempt.py" in told[0]


def test_a_training_step_stays_whole():
    mine, theirs = Gate(), Gate()
    optimizers = [torch.optim.Adam(gate.parameters(), lr=0.05) for gate in (mine, theirs)]
    step = tessera.train_step(mine, "mse", optimizers[0])
    for sign in (1, -1, 20, -2, 1):
        x, target = sign * grid(), torch.ones(2, 2)
        loss = step(x, target)
        optimizers[1].zero_grad()
        expected = torch.nn.functional.mse_loss(theirs(x), target)
        expected.backward()
        optimizers[1].step()
        torch.testing.assert_close(loss, expected.detach())
    assert step.report.rung == "whole step in one Program", str(step.report)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_a_layer_in_one_branch_keeps_its_gradient_none():
    class Own(Gate):
        def forward(self, x):
            h = self.first(x)
            return self.second(h) if h.sum() > 0 else h[:, :2] * 2

    own = Own()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1, weight_decay=0.5)
    step = tessera.train_step(own, "mse", optimizer)
    taken = [sign for sign in (1, -1) if own.first(sign * grid()).sum() <= 0]
    assert taken
    before = own.second.weight.clone()
    step(taken[0] * grid(), torch.ones(2, 2))
    assert torch.equal(own.second.weight, before)  # no decay either
    assert step.report.rung != "whole step in one Program"


# What has more than computing in a branch, and what `torch.cond` does not take.
IN_PIECES: set[str] = set()
