"""Rows that nothing is left of; which masks become which is tested with the pass."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention, softmax

from tests.backend.attention.captures import fused

DRAW = torch.Generator().manual_seed(0)
Q, K, V = (torch.randn(2, 3, 6, 4, generator=DRAW, dtype=torch.float64) for _ in range(3))
SEEN = torch.rand(2, 1, 6, 6, generator=DRAW) > 0.4
SEEN[1, 0, 2] = False  # sees nothing


def attention_node(function, *inputs):
    calls = []

    def look(*args, **kwargs):
        calls.append(kwargs)
        return scaled_dot_product_attention(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", look)
        matched, notes, run = fused(function, *inputs)
        assert matched == 1, notes
        run(*inputs)
    return calls[-1]


def attend(mask):
    return lambda q, k, v, *more: softmax(mask(q @ k.mT / 2, *more), -1) @ v


TRIANGLE = lambda: torch.ones(6, 6, dtype=torch.bool).triu(1)  # noqa: E731
CONSTANT = {
    "fill": (lambda s: s.masked_fill(TRIANGLE(), -math.inf), True),
    "large_fill": (lambda s: s.masked_fill(TRIANGLE(), -1e9), True),
    "added": (lambda s: s + torch.full((6, 6), -math.inf).triu(1), True),
    "added_large": (lambda s: s + torch.full((6, 6), torch.finfo(torch.float32).min).triu(1), True),
    "fill_and_added": (lambda s: (s + torch.full((6, 6), -1e9).triu(2)).masked_fill(TRIANGLE(), -math.inf), True),
    "strict": (lambda s: s.masked_fill(torch.ones(6, 6, dtype=torch.bool).triu(2), -math.inf), False),
    "backwards": (lambda s: s.masked_fill(torch.ones(6, 6, dtype=torch.bool).tril(-1), -math.inf), False),
    "some_heads": (lambda s: s.masked_fill(TRIANGLE() & (torch.arange(3) > 0).view(3, 1, 1), -math.inf), False),
    "and_more": (lambda s: s.masked_fill(TRIANGLE(), -math.inf) + torch.arange(6.0), False),
}


@pytest.mark.parametrize("form", CONSTANT)
def test_only_a_causal_mask_is_called_causal(form):
    mask, causal = CONSTANT[form]
    options = attention_node(attend(mask), Q, K, V)
    assert options["is_causal"] == causal
    assert (options["attn_mask"] is None) == causal


def test_a_mask_that_masks_nothing_is_none():
    options = attention_node(attend(lambda s: s.masked_fill(torch.zeros(6, 6, dtype=torch.bool), -math.inf)), Q, K, V)
    assert options["attn_mask"] is None
    assert not options["is_causal"]


@pytest.mark.parametrize("low", [-1e9, torch.finfo(torch.float32).min])
def test_a_row_filled_with_a_number_counts_all_alike_and_passes_no_gradient_to_its_query(low):
    def function(q, k, v, seen):
        return softmax((q @ k.mT).masked_fill(~seen, low), -1) @ v

    leaves = [x.clone().requires_grad_() for x in (Q, K, V)]
    _, _, run = fused(function, *leaves, SEEN)
    out = run(*leaves, SEEN)
    torch.testing.assert_close(out[1, :, 2], V[1].mean(1))
    ours = torch.autograd.grad(out.square().sum(), leaves)
    theirs = torch.autograd.grad(function(*leaves, SEEN).square().sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    assert not ours[0][1, :, 2].any()


@pytest.mark.parametrize("mask", [lambda s, m: s.masked_fill(~m, -math.inf), lambda s, m: s + torch.log(m.double())])
def test_a_row_of_minus_infinity_is_not_a_number_as_in_eager(mask):
    function = attend(mask)
    _, _, run = fused(function, Q, K, V, SEEN)
    torch.testing.assert_close(run(Q, K, V, SEEN), function(Q, K, V, SEEN), equal_nan=True)
    assert run(Q, K, V, SEEN).isnan().sum() == 3 * 4


def test_a_mask_is_not_spread_over_what_it_does_not_show():
    options = attention_node(attend(lambda s, m: torch.where(m.expand(2, 3, 6, 6), s, -1e9)), Q, K, V, SEEN)
    assert options["attn_mask"].shape == (2, 1, 6, 6)


def test_a_bias_that_low_precision_would_round_stays_as_it_is():
    low = [x.bfloat16() for x in (Q, K, V)]
    matched, notes, _ = fused(attend(lambda s: s.float() + torch.arange(6.0)), *[x.float() for x in low])
    assert (matched, notes) == (1, [])
    function = lambda q, k, v: softmax(q @ k.mT + torch.arange(6.0).bfloat16(), -1) @ v  # noqa: E731
    matched, (note,), _ = fused(function, *low)
    assert matched == 0
    assert "digits" in note
