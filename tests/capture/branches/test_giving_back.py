from __future__ import annotations

import torch

from tessera.capture.dispatch import Dispatch
from tests.contracts.odd.recorder import grid


def captured(function):
    def backend(graph_module, inputs):
        return graph_module.forward

    def call(function, args):
        return function(*args)

    def bind(function, args):
        return locals()

    dispatch = Dispatch(call, bind, backend, whole=False)
    return lambda *args: dispatch(function, args), dispatch


def test_an_argument_that_is_returned_is_that_argument():
    def f(x, y):
        a = x if x.sum() > 0 else y
        b = y * 2 if y.max() > 2 else x
        return a, a + b

    compiled, dispatch = captured(f)
    for s, t in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        x, y = s * grid(), t * grid()
        (a, total), (expected, expected_total) = compiled(x, y), f(x, y)
        assert a is expected
        assert torch.equal(total, expected_total)
    assert not dispatch.in_pieces


def test_an_argument_that_may_be_returned_by_two_decisions_is_not_compiled():
    def f(x):
        y = x if x.sum() > 0 else x * 2
        return y if x.max() > 2 else y + 1

    compiled, dispatch = captured(f)
    for s in (1, 0.1, -1):
        x = s * grid()
        result = compiled(x)
        assert torch.equal(result, f(x))
        assert (result is x) == (f(x) is x)
    assert dispatch.in_pieces


def test_a_part_of_an_argument_is_not_compiled():
    compiled, dispatch = captured(lambda x: x[0] if x.sum() > 0 else x[1])
    x = grid()
    assert compiled(x).data_ptr() == x.data_ptr()
    assert dispatch.in_pieces


def test_beside_what_is_made_it_is_not_a_copy():
    def f(x):
        h = x * 2
        return x if x.sum() > 0 else h

    compiled, dispatch = captured(f)
    x = grid()
    assert compiled(x) is x
    assert torch.equal(compiled(-x), -x * 2)
    assert not dispatch.in_pieces
