import itertools

import pytest
import torch

import tessera
from tessera.errors import TransformError


def recurrence(left, right):
    return left[0] * right[0], left[1] * right[0] + right[1]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 13])
def test_a_recurrence_is_the_loop(size):
    a, b = torch.rand(size, 3, dtype=torch.float64), torch.randn(size, 3, dtype=torch.float64)
    h, rows = torch.zeros(3, dtype=torch.float64), []
    for t in range(size):
        h = a[t] * h + b[t]
        rows.append(h)
    torch.testing.assert_close(tessera.associative_scan(recurrence, (a, b))[1], torch.stack(rows))


@pytest.mark.parametrize(("dim", "reverse"), list(itertools.product((0, 1, -1), (False, True))))
def test_along_any_dim_and_backwards(dim, reverse):
    x = torch.randn(4, 5, 7, dtype=torch.float64)
    expected = (x.flip(dim).cumsum(dim).flip(dim)) if reverse else x.cumsum(dim)
    torch.testing.assert_close(tessera.associative_scan(torch.add, x, dim=dim, reverse=reverse), expected)


def test_order_is_kept_where_it_matters():
    x = torch.randn(6, 2, 2, dtype=torch.float64)
    products = list(itertools.accumulate(x, torch.matmul))
    torch.testing.assert_close(tessera.associative_scan(torch.matmul, x), torch.stack(products))


def test_gradients_vmap_and_compiled():
    x = torch.rand(3, 6, dtype=torch.float64)

    def total(x):
        return tessera.associative_scan(torch.mul, x).sum()

    expected = tessera.grad(lambda x: x.cumprod(0).sum())(x[0])
    torch.testing.assert_close(tessera.grad(total)(x[0]), expected)
    torch.testing.assert_close(tessera.vmap(tessera.grad(total))(x)[0], expected)
    torch.testing.assert_close(tessera.compile(tessera.grad(total))(x[0]), expected)


@pytest.mark.parametrize(
    ("function", "xs", "said"),
    [
        (torch.add, 1.0, "along dim 0 of a float"),
        (torch.add, (torch.ones(2), torch.ones(3)), r"sizes \[2, 3\]"),
        (torch.add, torch.ones(0), r"sizes \[0\]"),
        (lambda a, b: (a + b).sum(), torch.ones(4), r"given \[\[2\]\] and returned \[\[\]\]"),
    ],
    ids=["no tensor", "lengths", "nothing", "shapes"],
)
def test_what_cannot_be_scanned_is_said(function, xs, said):
    with pytest.raises(TransformError, match=said):
        tessera.associative_scan(function, xs)
