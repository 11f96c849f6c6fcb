import pytest
import torch

from tessera.backend.loops.loop import LOOP, compiled_loop, run_loop
from tests.backend.loops.loops import LOOPS, draw, written_out


def leaves(loop):
    turn, *parts = loop
    operands = [[one.clone().requires_grad_(one.is_floating_point()) for one in part] for part in parts]
    return turn, *operands


def gradients(results, operands):
    wanted = [one for one in operands if one.requires_grad]
    found = [one for one in results if one.requires_grad]
    tangents = [draw(*one.shape, seed=i) for i, one in enumerate(found)]
    return torch.autograd.grad(found, wanted, tangents, materialize_grads=True)


@pytest.mark.usefixtures("eager_turns")
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_has_the_values_and_gradients_of_its_turns(name, reverse):
    turn, *parts = leaves(LOOPS[name]())
    operands = [one for part in parts for one in part]
    carries, ys = run_loop(turn, *parts, reverse=reverse)
    expected = written_out(turn, *parts, reverse=reverse)
    torch.testing.assert_close([*carries, *ys], expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(gradients([*carries, *ys], operands), gradients(expected, operands), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("eager_turns")
@pytest.mark.parametrize("only", range(4))
def test_any_part_may_need_a_gradient_alone(only):
    turn, *parts = LOOPS["tanh_layer"]()
    operands = [one for part in parts for one in part]
    operands[only].requires_grad_()
    carries, ys = run_loop(turn, *parts)
    expected = written_out(turn, *parts)
    torch.testing.assert_close(gradients([*carries, *ys], operands), gradients(expected, operands))


@pytest.mark.usefixtures("eager_turns")
def test_a_result_that_is_not_used_needs_no_gradient():
    turn, (h,), (x,), (w, b) = leaves(LOOPS["tanh_layer"]())
    (last,), _ = run_loop(turn, [h], [x], [w, b])
    expected = written_out(turn, [h], [x], [w, b])[0]
    wanted = [h, x, w, b]
    torch.testing.assert_close(torch.autograd.grad(last.sum(), wanted), torch.autograd.grad(expected.sum(), wanted))


@pytest.mark.usefixtures("eager_turns")
def test_loops_that_are_alike_share_a_compiled_turn():
    turn, init, xs, shared = LOOPS["tanh_layer"]()
    traced = [
        torch.fx.experimental.proxy_tensor.make_fx(lambda *a: run_loop(turn, [a[0]], [a[1]], list(a[2:]))[1])(
            init[0], x, *shared
        )
        for x in (xs[0], xs[0][:2])
    ]
    nodes = [graph.graph.find_nodes(op="call_function", target=LOOP) for graph in traced]
    assert [len(found) for found in nodes] == [1, 1]
    first, second = (str(found[0].args[0]) for found in nodes)
    assert first == second
    assert compiled_loop(first) is compiled_loop(second)
