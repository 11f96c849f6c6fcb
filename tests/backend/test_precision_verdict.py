from __future__ import annotations

import math

import pytest
import torch

from tessera.backend.precision_verdict import LARGEST_LIMIT, Verdict, compare
from tessera.program import Phase, Role, Value
from tests.backend.hand_made import aten, program

DRAW = torch.Generator().manual_seed(0)
X, W, Y = (torch.randn(*shape, generator=DRAW) for shape in ((20, 8), (8, 6), (20, 6)))


def step(x, w, y):
    """Loss and gradient of a linear regression, and the gradient's use."""
    off = x @ w - y
    return (off.square().mean(), w - 0.1 * (x.T @ (off * (2 / off.numel()))))


def pair(function=step, *inputs, change=None):
    """A Program of a loss and updated weights, and the same with ``change`` made to its first product."""
    made = []
    for version in range(2):
        one = program(function, *(inputs or (X, W, Y)))
        one.outputs[0] = Value("loss", Role.LOSS)
        one.inputs[1] = Value("w", Role.PARAMETER)
        one.examples = list(inputs or (X, W, Y))
        loss, new = one.results
        reached = False
        for node in one.graph.nodes:
            node.meta["phase"] = Phase.BACKWARD if reached else Phase.FORWARD
            reached = reached or node is loss
        for node in (new, *new.all_input_nodes):
            if node.op == "call_function" and node.target is not aten.mm.default:
                node.meta["phase"] = Phase.UPDATE
        if version and change:
            product = one.graph.find_nodes(op="call_function", target=aten.mm.default)[0]
            with one.graph.inserting_after(product):
                changed = one.graph.call_function(change, (product,))
            product.replace_all_uses_with(changed, delete_user_cb=lambda user, changed=changed: user is not changed)
            one.graph_module.recompile()
        made.append(one)
    full, other = made
    names = {node.name: node for node in other.graph.nodes}
    return full, other, lambda node: names.get(node.name)


def test_equal_graphs_do_not_differ():
    verdict = compare(*pair())
    assert verdict.holds
    assert (verdict.loss, verdict.gradients, verdict.worst, verdict.first_off) == (0, 0, 0, None)


@pytest.mark.parametrize(("factor", "holds"), [(1 + 1e-3, True), (1.5, False)])
def test_errors_are_relative(factor, holds):
    verdict = compare(*pair(change=lambda product: product * factor))

    def exact(scale):
        off = (X @ W).double() * scale - Y
        return off.square().mean(), X.T.double() @ off

    (loss, gradient), (other_loss, other_gradient) = exact(1), exact(factor)
    assert verdict.loss == pytest.approx(float(abs(other_loss - loss) / loss), rel=1e-3)
    expected = float((other_gradient - gradient).norm() / gradient.norm())
    assert verdict.gradients == pytest.approx(expected, rel=1e-3)
    assert verdict.worst == pytest.approx(expected, rel=1e-3)
    assert verdict.holds == holds
    assert (verdict.first_off is None) == holds
    assert str(verdict).startswith("loss off by ")


def test_what_overflows_in_low_precision_alone_is_off():
    verdict = compare(*pair(change=lambda product: product * math.inf))
    assert verdict.loss == math.inf
    assert not verdict.holds


def test_what_overflows_anyway_is_not():
    inputs = (X * 1e30, W, Y)
    assert compare(*pair(step, *inputs, change=lambda product: product * 1.001)).loss == 0


def test_random_numbers_are_drawn_once_and_the_stream_stays():
    def with_noise(x, w, y):
        off = (x + torch.rand_like(x)) @ w - y
        return (off.square().mean(), w - 0.1 * (x.T @ off))

    state = torch.get_rng_state()
    assert compare(*pair(with_noise, X, W, Y)).gradients == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_examples_are_not_written_to():
    before = [value.clone() for value in (X, W, Y)]
    compare(*pair())
    assert all(torch.equal(now, then) for now, then in zip((X, W, Y), before, strict=True))


def far_from_zero(x, w, y):
    """As `step`, with a loss that hardly tells what becomes of the gradient."""
    off = x @ w - y
    return (off.square().mean() + 1000, w - 0.1 * (x.T @ (off * (2 / off.numel()))))


ONE = torch.randn(10, 8, generator=DRAW), torch.randn(10, 6, generator=DRAW)
ALIKE = torch.cat([ONE[0], ONE[0]]), torch.cat([ONE[1], ONE[1]])  # both halves of the batch are the same


@pytest.mark.parametrize(("x", "y", "noisy"), [(X, Y, True), (*ALIKE, False)], ids=["noisy", "not noisy"])
def test_gradients_may_be_off_by_a_part_of_what_half_the_batch_changes(x, y, noisy):
    verdict = compare(*pair(far_from_zero, x, W, y, change=lambda product: product * 1.2))
    assert 0.1 < verdict.gradients < 0.3

    def gradient(rows):
        return x[:rows].T @ (x[:rows] @ W - y[:rows]) / rows

    expected = float((gradient(10) - gradient(20)).norm() / gradient(20).norm())
    assert verdict.noise == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert verdict.holds == noisy
    assert ("half the batch" in str(verdict)) == noisy


def test_no_noise_excuses_a_gradient_that_points_elsewhere():
    verdict = compare(*pair(far_from_zero, X, W, Y, change=lambda product: product * -1))
    assert verdict.gradients > LARGEST_LIMIT
    assert not verdict.holds
    assert Verdict(0.0, 0.6, 0.6, noise=10.0).limit == LARGEST_LIMIT


def test_a_batch_that_cannot_be_halved_says_nothing():
    def picked(x, w, y, rows):
        return far_from_zero(x[rows.unique_consecutive().view(20)], w, y)

    inputs = (*ALIKE[:1], W, ALIKE[1], torch.arange(20))
    verdict = compare(*pair(picked, *inputs, change=lambda product: product * 1.2))
    assert verdict.noise == 0.0
    assert not verdict.holds
