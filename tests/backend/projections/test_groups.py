import pytest
import torch

from tessera.backend.projections.groups import can_be_at, find_groups, late_ancestors, operands, summands_of, views_of
from tests.backend.hand_made import aten, program

X, A, B = torch.rand(6, 4), torch.rand(4, 4), torch.rand(4, 4)


def found(function, kind, *, layers=(), numbers=()):
    """Names of the layers of products in groups; layers and numbers are given to the products in order."""
    made = program(function, X, A, B)
    products = [node for node in made.graph.nodes if node.target in (aten.mm.default, aten.addmm.default)]
    for product, layer in zip(products, layers, strict=False):
        product.meta["nn_module_stack"] = {"": (layer, None)}
    for product, number in zip(products, numbers, strict=False):
        product.meta["seq_nr"] = number
    return [[products.index(product) for product in group.products] for group in find_groups(made.graph, kind)]


def three(x, a, b):
    return (x @ a).exp(), (x @ b).exp(), (x @ a.exp()).exp()


def test_those_of_one_operand_are_found_on_either_side():
    assert found(three, "left") == [[0, 1, 2]]
    assert found(three, "right") == []
    assert found(lambda x, a, b: ((a @ b).exp(), (x @ b).exp()), "right") == [[0, 1]]


def test_a_group_is_of_one_block():
    layers = ("L['module'].blocks.0.attn.q", "L['module'].blocks.1.attn.q", "L['module'].blocks.0.mlp.up")
    assert found(three, "left", layers=layers) == [[0, 2]]
    assert found(three, "left", layers=("a.q", "b.k", "head")) == [[0, 1, 2]]


def test_the_order_is_that_of_the_layers():
    assert found(three, "left", numbers=(9, 3, 7)) == [[1, 2, 0]]


def test_sums_are_found_through_views_casts_and_other_summands():
    def function(x, a, b):
        one, other = (x @ a).view(2, 3, 4).double(), (x.exp() @ b).view(2, 3, 4).double()
        return ((one + x.view(2, 3, 4)) + (other + one.sum()),)

    assert found(lambda x, a, b: (((x @ a) + x) + (x.sin() @ b),), "sum") == [[0, 1]]
    assert found(function, "sum") == []  # ``one`` is seen by a sum of its own, and shapes are spread
    assert found(lambda x, a, b: ((x @ a).view(2, 12) + (x @ b).t().reshape(2, 12),), "sum") == []


def test_what_a_sum_adds_up():
    made = program(lambda x, a, b: ((x + x.exp()) + (x.sin() + x.cos()),), X, A, B)
    (total,) = made.results
    assert {node.target for node in summands_of(total)} == {
        "x_1",
        aten.exp.default,
        aten.sin.default,
        aten.cos.default,
    }


def test_views_are_followed_and_computed_anew():
    made = program(lambda x, a, b: ((x @ a).view(2, 3, 4).permute(1, 0, 2).exp(),), X, A, B)
    (product,) = made.graph.find_nodes(op="call_function", target=aten.mm.default)
    assert operands(product) == tuple(made.placeholders[:2])
    part = product.meta["val"].new_empty(6, 8)[:, :4]
    assert [value.stride() for value in views_of(product, part).values()] == [(8, 1), (24, 8, 1), (8, 24, 1)]
    made = program(lambda x, a, b: ((x @ a).view(24).exp(),), X, A, B)
    (product,) = made.graph.find_nodes(op="call_function", target=aten.mm.default)
    with pytest.raises((RuntimeError, ValueError)):
        views_of(product, part)


def test_what_comes_after_the_first_and_is_needed():
    made = program(lambda x, a, b: ((x @ a).exp(), (x @ (b.sin() + a)).exp()), X, A, B)
    first, second = made.graph.find_nodes(op="call_function", target=aten.mm.default)
    assert {node.target for node in late_ancestors(second, first)} == {aten.sin.default, aten.add.Tensor}
    assert can_be_at(first, [first, second])
    made = program(lambda x, a, b: ((x @ a).exp(), (x @ torch.rand_like(b)).exp()), X, A, B)
    first, second = made.graph.find_nodes(op="call_function", target=aten.mm.default)
    assert not can_be_at(first, [first, second])  # it would draw before what is drawn before
