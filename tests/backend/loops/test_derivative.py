import pytest
import torch

from tessera.backend.loops.derivative import differentiate
from tests.backend.loops.loops import LOOPS
from tests.backend.loops.test_body import body_of


def derivative_of(name):
    loop = LOOPS[name]()
    floating = [[i for i, one in enumerate(part) if one.is_floating_point()] for part in loop[2:]]
    return differentiate(body_of(loop), *floating)


def operations(body):
    return [str(node.target) for node in body.graph.graph.nodes if node.op == "call_function"]


def test_the_gradient_of_a_weight_is_no_product_of_the_loop():
    found = derivative_of("tanh_layer")
    assert operations(found.backward).count("aten.mm.default") == 1  # the way back through the carry
    assert not any("sum" in name for name in operations(found.backward))
    assert all(found.sums)
    assert len(found.backward.carries) == 1


def test_what_is_no_product_is_added_up_by_the_loop():
    found = derivative_of("used_twice")
    assert [one is None for one in found.sums] == [False, True]
    assert len(found.backward.carries) == 2


def test_a_result_is_kept_once():
    found = derivative_of("tanh_layer")
    assert len(found.forward.ys) == 2  # the result itself, and the carry that came in
    assert "aten.tanh.default" not in operations(found.backward)


def test_only_what_has_a_gradient_takes_part():
    found = derivative_of("counted")
    assert found.carried == (0,)
    assert found.results == (0,)
    (loop,) = [LOOPS["counted"]()]
    none = differentiate(body_of(loop), [], [])
    assert (none.xs, none.shared, none.backward.ys) == ((), (), ())


def test_random_numbers_are_kept_and_not_drawn_again():
    def turn(h, x):
        h = h + x * torch.rand(3, dtype=torch.float64)
        return [h]

    loop = turn, [torch.zeros(3, dtype=torch.float64)], [torch.ones(4, 3, dtype=torch.float64)], []
    found = differentiate(body_of(loop), [0], [])
    assert not any("rand" in name for name in operations(found.backward))


def test_half_precision_is_added_up_in_float32():
    def turn(h, x, scale):
        return [h + x * scale.exp()]

    loop = (
        turn,
        *([torch.ones(3, dtype=torch.bfloat16)], [torch.ones(4, 3, dtype=torch.bfloat16)]),
        [torch.ones(3, dtype=torch.bfloat16)],
    )
    (_, total) = differentiate(body_of(loop), [], [0]).backward.carries
    assert total.dtype is torch.float32


@pytest.mark.parametrize("name", LOOPS)
def test_the_shapes_of_the_two_loops_fit(name):
    found = derivative_of(name)
    assert len(found.backward.xs) == len(found.results) + len(found.stacks)
    assert len(found.backward.shared) == len(found.uses)
    assert [one.shape for one in found.backward.ys[: len(found.xs)]] == [found.forward.xs[i].shape for i in found.xs]
