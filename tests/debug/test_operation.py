from __future__ import annotations

import torch

import tessera


def test_the_trace_is_bounded_and_says_what_it_left_out():
    x = torch.ones(2)
    with tessera.debug_mode(trace=3) as debug:
        for _ in range(5):
            x = x + 1
    assert [operation.number for operation in debug.trace] == [3, 4, 5]
    assert len(debug.trace) == 3
    assert debug.trace.find(2) is None
    assert debug.trace.find(4) is debug.trace[1]
    assert str(debug.trace).endswith("2 operations before these are no longer kept")


def test_the_table():
    x = torch.ones(2)
    with tessera.debug_mode() as debug:
        y = x * 3
    head, row = str(debug).splitlines()
    assert head.split() == ["#", "operation", "result", "range", "layer", "ms", "line"]
    assert row.startswith("1  aten.mul   float32[2]  all 3")
    assert row.endswith("x * 3")
    assert f"test_operation.py:{debug.trace[0].place.where.line}" in row
    assert y.sum() == 6


def test_no_tensor_is_kept():
    import weakref

    class Held:
        pass

    with tessera.debug_mode() as debug:
        x = torch.ones(4) * 2
        gone = weakref.ref(x)
        del x
    assert gone() is None
    assert len(debug.trace) == 2
