from __future__ import annotations

import gc
import weakref

import pytest
import torch

import tessera
from tessera.capture.dispatch import Dispatch

NEGATE = False
SEEN = []


def scaled(x, factor):
    return -x * factor if NEGATE else x * factor


def remembering(x, factor):
    SEEN.append(factor)
    return x * factor


def bind(x, factor):
    return locals()


class Backend:
    def __init__(self):
        self.graphs = 0

    def compile(self, graph_module, inputs):
        self.graphs += 1
        return graph_module.forward


@pytest.fixture
def backend():
    return Backend()


def test_a_hit_does_not_go_through_dynamo_and_a_changed_global_does(monkeypatch, backend):
    call = Dispatch(scaled, bind, backend.compile, whole=True)
    x = torch.randn(3)
    assert not call.captured
    for _ in range(3):
        assert torch.equal(call(x, 2), x * 2)
    assert (call.captured, call.misses, backend.graphs) == (True, 1, 1)
    monkeypatch.setitem(globals(), "NEGATE", True)
    assert torch.equal(call(x, 2), -x * 2)
    assert call.misses == 2
    monkeypatch.setitem(globals(), "NEGATE", False)
    assert torch.equal(call(x, 2), x * 2)
    assert (call.misses, backend.graphs) == (2, 2)  # both versions are kept


def test_forgetting_captures_anew(backend):
    call = Dispatch(scaled, bind, backend.compile, whole=True)
    x = torch.randn(3)
    call(x, 2)
    call.forget()
    assert not call.captured
    assert torch.equal(call(x, 2), x * 2)
    assert backend.graphs == 2


def test_two_of_the_same_function_do_not_share_captures(backend):
    first, second = (Dispatch(scaled, bind, backend.compile, whole=True) for _ in range(2))
    x = torch.randn(3)
    first(x, 2)
    assert not second.captured
    second(x, 2)
    assert second.misses == 1
    assert backend.graphs == 2


def test_only_code_without_side_effects_is_pure(backend):
    x = torch.randn(3)
    plain = Dispatch(scaled, bind, backend.compile, whole=True)
    assert plain.pure(x, 2) is None
    plain(x, 2)
    assert torch.equal(plain.pure(x, 2)(x, 2), x * 2)
    assert plain.pure(torch.randn(3, dtype=torch.float64), 2) is None
    writing = Dispatch(remembering, bind, backend.compile, whole=True)
    writing(x, 2)
    writing(x, 2)
    assert SEEN == [2, 2]
    assert writing.pure(x, 2) is None


def test_what_a_capture_holds_goes_with_the_dispatch():
    class Holding(Backend):
        def compile(self, graph_module, inputs):
            return lambda *inputs: (self, graph_module.forward(*inputs))[1]

    owner, x = Holding(), torch.randn(3)
    call = Dispatch(scaled, bind, owner.compile, whole=True)
    call(x, 2)
    assert call.pure(x, 2) is not None
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is not None
    del call
    gc.collect()
    assert gone() is None


def test_the_owner_of_the_backend_is_not_kept_alive():
    owner = Backend()
    call = Dispatch(scaled, bind, owner.compile, whole=True)
    call(torch.randn(3), 2)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_what_dynamo_leaves_alone_is_done_once():
    """Its first try to capture all of a function would have run one that it leaves alone, and then raised."""
    done = []

    class Manager:
        def __enter__(self):
            done.append("in")

        def __exit__(self, *_):
            done.append("out")

    def helper(x):
        print(end="")  # noqa: T201 - Dynamo breaks here
        return x * 2

    def function(x):
        with Manager():
            done.append("body")
        return helper(x)

    compiled = tessera.compile(function)
    for calls in (1, 2, 3):
        assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 2.0))
        assert done == ["in", "body", "out"] * calls


def test_captured_code_that_cannot_be_hashed():
    kept = []

    def function(x, k):
        def later(z=x * k):
            return z + k

        kept.append(later)
        return later()

    compiled, x = tessera.compile(function), torch.ones(2)
    for k in (2, 3.0):
        assert torch.equal(compiled(x, k), x * k + k)
        assert torch.equal(kept[-1](), x * k + k)


class Log:
    """Notes what is set."""

    def __init__(self):
        self.done = []

    def __setattr__(self, name, value):
        if name != "done":
            self.done.append(name)
        if isinstance(value, float) and value < 0:
            raise ValueError(name)
        super().__setattr__(name, value)


def test_pieces_are_not_begun_in_vain():
    log = Log()

    def function(x, value):
        log.mean = (x * 2).mean().item()
        log.value = value
        return x + log.mean

    def run(called):
        log.done.clear()
        for value in (2.0, -1.0, torch.tensor(1.0), 3):
            try:
                called(torch.ones(2), value)
            except ValueError as error:
                log.done.append(str(error))
        return list(log.done)

    expected = run(function)
    assert run(tessera.compile(function)) == expected
