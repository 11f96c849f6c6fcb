import pytest
import torch

from tessera.backend.stability.suspects import cancels_products, compares_products, is_small_product, leaves_range
from tests.backend.attention.captures import capture
from tests.backend.stability.harness import Rewritten

A, B, C, D = torch.rand(4, 5, 3)
ROUNDED = frozenset({"add", "sub", "mul", "div", "pow", "square", "sqrt", "log", "exp", "sum", "mean", "reciprocal"})


def nodes(function, *inputs):
    return list(capture(function, *inputs).graph_module.graph.nodes)


def distances(x, y):
    return (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T


def test_an_area_cancels_and_what_is_broadcast_or_turned_does_not():
    assert cancels_products(nodes(lambda a, b, c, d: a * d - b * c, A, B, C, D))
    assert cancels_products(nodes(lambda a: a[1:-1] ** 2 - a[:-2] * a[2:], A))
    assert not cancels_products(nodes(lambda a, b, c, d: a * d + b * c, A, B, C, D))
    assert not cancels_products(nodes(lambda a, b, c, d: a * d[0] - b * c[0], A, B, C, D))
    assert not cancels_products(nodes(lambda a, b, c: a * c.cos() - b * c.sin(), A, B, C))
    assert not cancels_products(nodes(lambda a, b: a * 2 - b * 3, A, B))
    assert not cancels_products(
        nodes(lambda a, b, c, d: a * torch.special.ndtr(d) - b * torch.special.ndtr(c), A, B, C, D)
    )


def test_products_of_complex_numbers_and_quaternions_are_no_areas():
    def product(a, b, c, d):
        return torch.stack([a * c - b * d, a * d + b * c])

    def components(p, q):
        return p[:, 0] * q[:, 0] - p[:, 1] * q[:, 1], p[:, 0] * q[:, 1] + p[:, 1] * q[:, 0]

    assert not cancels_products(nodes(product, A, B, C, D))
    assert not cancels_products(nodes(components, A, B))
    assert cancels_products(nodes(lambda p, q: p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0] + p[:, 0], A, B))


def test_quotients_of_products_of_the_same_leave_the_range():
    def quotient(a, b, c, d):
        return (a * c + b * d) / (c * c + d * d)

    assert leaves_range(nodes(quotient, A, B, C, D), ROUNDED)
    assert leaves_range(nodes(lambda a, b, c, d: (a * d - b * c).abs().log(), A, B, C, D), ROUNDED)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b, c, d: a * b / c,
        lambda a, b, c, d: a * b / (c * d),
        lambda a, b, c, d: c - (c - b) ** 2 / ((c - b) - (b - a)),
        lambda a, b, c, d: (a * c + b * d) / (c * c + d * d + 1e-6),
        lambda a, b, c, d: (a * c).relu() / (c * c),
        lambda a, b, c, d: (a * c).sum() / (c * c).sum(),
        lambda a, b, c, d: torch.sqrt(a * b),
        lambda a, b, c, d: ((b - c) * (a - c) + (d - b) * (a - c)) / ((b - c) * (d - c) + (d - b) * (d - c)),
    ],
    ids=["product", "others", "Aitken", "eps", "chosen", "sums", "root", "coordinates"],
)
def test_other_quotients_are_left(function):
    assert not leaves_range(nodes(function, A, B, C, D), ROUNDED)
    assert Rewritten(function).notes == []


def test_distances_compare_a_product_with_what_it_is_made_of():
    assert compares_products(nodes(distances, A, B))
    assert compares_products(nodes(lambda a: a.T @ a / 5 - a.mean(0)[:, None] * a.mean(0)[None, :], A))
    assert not compares_products(nodes(lambda a, b, c: a @ b.T + c, A, B, torch.rand(5)))
    assert not compares_products(nodes(lambda a, b: (a @ b.T) / a.sum(), A, B))


def test_a_large_product_stays_as_it_is():
    large = torch.rand(512, 64)
    assert any(map(is_small_product, nodes(lambda a, b: a @ b.T, A, B)))
    assert not any(map(is_small_product, nodes(lambda a: a @ a.T, large)))
    assert not compares_products(nodes(distances, large, large))


def test_both_are_accurate_and_said():
    a, b = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.001, 2.0, 3.0]])
    rewritten = Rewritten(distances)
    wanted = ((a.double() - b.double()) ** 2).sum()
    assert abs(rewritten.call(a, b).double() - wanted) < 1e-6 * wanted
    assert any("float64" in note for note in rewritten.notes)
    assert Rewritten(distances).call(torch.rand(512, 64), torch.rand(512, 64)).shape == (512, 512)
