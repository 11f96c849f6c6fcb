"""What runs around a call, eagerly and captured."""

from __future__ import annotations

import inspect
import threading

import torch

from tessera.nn.running import RUNNING, running_call, training_mode, written_at


def this_line():
    return inspect.currentframe().f_back.f_lineno


def test_the_line_of_a_caller():
    assert written_at() == f"{__file__}:{this_line()}"


def test_the_line_of_a_caller_is_captured_too():
    found = []

    def ask(x):
        found.append(written_at())
        found.append(written_at())
        return x + len(found)

    ask(torch.ones(1))
    eager = list(found)
    found.clear()
    torch.compile(ask, backend="eager")(torch.ones(1))
    assert found == eager
    assert len(set(found)) == 2


def test_a_thread_has_its_own_call():
    found = []
    RUNNING.running_call = object()
    try:
        thread = threading.Thread(target=lambda: found.append(running_call()))
        thread.start()
        thread.join()
    finally:
        RUNNING.running_call = None
    assert found == [None]


class Asks(torch.nn.Module):
    def __init__(self, inner=None):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        inner = [] if self.inner is None else self.inner(x)

        def ask():
            return training_mode()  # with another function in between

        return [*inner, ask()]


def test_the_innermost_module_decides():
    assert training_mode()
    outer = Asks(Asks())
    x = torch.ones(1)
    for inner_mode in (True, False):
        for outer_mode in (True, False):
            outer.train(outer_mode)
            outer.inner.train(inner_mode)
            assert outer(x) == [inner_mode, outer_mode]
            assert torch.compile(outer, backend="eager")(x) == [inner_mode, outer_mode]
