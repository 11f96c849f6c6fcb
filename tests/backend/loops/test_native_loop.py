import functools

import pytest
import torch

from tessera.backend.loops.body import like, part_of, trace_body
from tessera.backend.loops.compiled_loop import CompiledLoop
from tests.backend.loops.loops import LOOPS, draw, written_out
from tests.backend.loops.test_body import body_of


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def two_products(h, x, w, v, b):
    """Products by a matrix as it is and by one transposed, with and without something added, of awkward sizes."""
    return [torch.tanh(torch.addmm(b, torch.sin(h @ w + x), v.t()))]


def odd(rows, dtype=torch.float64):
    operands = [draw(rows, 5)], [draw(3, rows, 37)], [draw(5, 37), draw(5, 37, seed=1), draw(5)]
    return two_products, *([one.to(dtype) / 5 for one in part] for part in operands)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("rows", "dtype"), [(1, torch.float64), (26, torch.float32)], ids=["one row", "rows for two threads"]
)
def test_the_loop_in_c_is_the_loop(rows, dtype):
    turn, init, xs, shared = odd(rows, dtype)
    loop = CompiledLoop.of(body_of((turn, init, xs, shared)))
    assert loop.native is not None
    for reverse in (False, True):
        for turns in (3, 2):
            parts = init, [x[:turns] for x in xs], shared
            found = loop(*parts, turns, reverse=reverse)
            torch.testing.assert_close(found, written_out(turn, *parts, reverse=reverse))


def test_a_product_of_what_turns_do_not_share_leaves_the_calls_to_python():
    def turn(h, x):
        return [torch.sin(h @ x)]

    init, xs = [draw(40, 40)], [draw(3, 40, 40)]
    loop = CompiledLoop.of(trace_body(turn, [like(init[0])], [part_of(xs[0])], []))
    assert loop.native is None
    assert not loop.note
    torch.testing.assert_close(loop(init, xs, [], 3, reverse=False), written_out(turn, init, xs, []))


def test_it_says_what_it_was_not_given():
    turn, init, xs, shared = LOOPS["swapped"]()
    native = CompiledLoop.of(body_of((turn, init, xs, shared))).native
    run = functools.partial(native, turns=1, reverse=False)
    with pytest.raises(TypeError, match="a list of 7 tensors is expected"):
        run([])
