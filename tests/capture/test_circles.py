"""What captures leave in circles."""

import gc
import weakref

import pytest
import torch

import tessera
from tessera import torch_internals


class Counter:
    """Something that a capture changes."""

    def __init__(self):
        self.calls = 0


@pytest.mark.parametrize("breaks", [False, True])
def test_what_the_user_lets_go_of_is_gone(monkeypatch, breaks):
    monkeypatch.setattr(torch_internals, "compile_graph_pieces", lambda graph_module, *_, **__: graph_module.forward)
    counter = Counter()
    gone = weakref.ref(counter)

    def function(x):
        counter.calls += 1
        if breaks:
            print(end="")  # noqa: T201 - Dynamo breaks here
        return x * counter.calls

    compiled = tessera.compile(function)
    assert compiled(torch.ones(1)) == 1
    assert gc.isenabled()
    counter = Counter()
    assert gone() is None
    assert compiled(torch.ones(1)) == 1


def test_a_collector_that_is_switched_off_stays_so(monkeypatch):
    monkeypatch.setattr(torch_internals, "compile_graph_pieces", lambda graph_module, *_, **__: graph_module.forward)
    gc.disable()
    try:
        assert tessera.compile(lambda x: x + 1)(torch.ones(1)) == 2
        assert not gc.isenabled()
    finally:
        gc.enable()
