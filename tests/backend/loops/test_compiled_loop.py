import pytest
import torch

from tessera.backend.loops.compiled_loop import CompiledLoop
from tests.backend.loops.loops import LOOPS, written_out
from tests.backend.loops.test_body import body_of


@pytest.mark.parametrize("name", ["swapped", "used_twice"])
def test_a_compiled_loop_is_the_loop(name):
    turn, init, xs, shared = LOOPS[name]()
    loop = CompiledLoop.of(body_of((turn, init, xs, shared)))
    before = [one.clone() for one in (*init, *xs, *shared)]
    for reverse in (False, True):
        for stop in (len(xs[0]), 1, 2):
            parts = init, [x[:stop] for x in xs], shared
            torch.testing.assert_close(loop(*parts, stop, reverse=reverse), written_out(turn, *parts, reverse=reverse))
    assert not loop.note
    assert all(map(torch.equal, (*init, *xs, *shared), before))


@pytest.mark.usefixtures("eager_turns")
@pytest.mark.parametrize("name", LOOPS)
def test_without_a_compiler_it_runs_as_it_is_and_says_so(name):
    turn, init, xs, shared = LOOPS[name]()
    loop = CompiledLoop.of(body_of((turn, init, xs, shared)))
    torch.testing.assert_close(loop(init, xs, shared, len(xs[0]), reverse=False), written_out(turn, init, xs, shared))
    assert loop.note == "the turns of a time loop run eagerly: RuntimeError: not here"


@pytest.mark.usefixtures("eager_turns")
def test_operands_may_lie_in_memory_as_they_like():
    turn, init, xs, shared = LOOPS["tanh_layer"]()
    loop = CompiledLoop.of(body_of((turn, init, xs, shared)))
    turned = [xs[0].transpose(0, 1).contiguous().transpose(0, 1)]
    apart = [shared[0].t().contiguous().t(), torch.stack([shared[1]] * 2, 1)[:, 0]]
    expected = loop(init, xs, shared, len(xs[0]), reverse=False)
    assert all(map(torch.equal, loop(init, turned, apart, len(xs[0]), reverse=False), expected))
