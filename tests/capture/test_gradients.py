from __future__ import annotations

import pytest
import torch

from tessera.capture import gradients as arithmetic

INFINITE = torch.tensor([1.0, float("inf")])


def test_clipping_is_that_of_torch():
    parameters = [torch.nn.Parameter(torch.zeros(n)) for n in (3, 5)]
    for limit in (0.1, 100.0):
        for p in parameters:
            p.grad = torch.randn_like(p)
        norm, *clipped = arithmetic.clip(limit, *(p.grad.clone() for p in parameters))
        expected = torch.nn.utils.clip_grad_norm_(parameters, limit)
        torch.testing.assert_close([norm, *clipped], [expected, *(p.grad for p in parameters)])


def test_gradients_are_unscaled_in_a_range_that_holds_them():
    small = torch.tensor([3e-8, 2.0])
    scale = torch.tensor(2.0**14)
    (half,) = arithmetic.unscale(scale, (small * scale).half())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, small, rtol=1e-3, atol=0)
    exact = torch.randn(4, dtype=torch.float64)
    (double,) = arithmetic.unscale(scale, exact * 2.0**14)
    assert torch.equal(double, exact)
    (back,) = arithmetic.cast([torch.float16], half)
    assert back.dtype == torch.float16


def test_each_micro_batch_has_its_share_of_the_scale():
    value = arithmetic.tangent(torch.tensor(8.0), 4, torch.float16)
    assert (value, value.dtype) == (2.0, torch.float16)
    third = arithmetic.tangent(torch.tensor(8.0), 3, torch.float64)
    assert third.item() == 8 / 3


def doubled():
    """Two entries for one place, too large for float16 together."""
    return torch.sparse_coo_tensor([[0, 0]], [6e4, 6e4], (2,), dtype=torch.float16)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (list, True),
        (lambda: [torch.ones(2)], True),
        (lambda: [torch.ones(2), INFINITE], False),
        (lambda: [torch.tensor(float("nan"))], False),
        (lambda: [INFINITE.to_sparse()], False),
        (lambda: [torch.eye(2).to_sparse()], True),
        (lambda: [doubled()], False),
    ],
)
def test_finite_is_every_element(make, expected):
    with torch.sparse.check_sparse_tensor_invariants():
        assert bool(arithmetic.all_finite(make())) is expected


@pytest.mark.parametrize(("finite", "scale", "expected"), [(True, 0.5, True), (False, 1.0, True), (False, 0.5, False)])
def test_an_overflow_is_tolerated_while_the_scale_may_be_the_reason(finite, scale, expected):
    (found,) = arithmetic.tolerated(torch.tensor(finite), torch.tensor(scale))
    assert bool(found) is expected


def test_halves_of_a_list_are_added_and_chosen_from():
    a, b, c, d = (torch.tensor(float(n)) for n in range(4))
    assert arithmetic.add(a, b, c, d) == [2.0, 4.0]
    assert arithmetic.choose(torch.tensor(True), a, b, c, d) == [c, d]
    assert arithmetic.choose(torch.tensor(False), a, b, c, d) == [a, b]
