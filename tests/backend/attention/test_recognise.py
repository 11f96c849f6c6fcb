import math

import pytest
import torch
from torch.nn import functional as F

from tessera.backend.attention.recognise import Added, Attention, Filled, NotAttention, find_attention
from tests.backend.attention.captures import traced

DRAW = torch.Generator().manual_seed(0)
Q, K, V = (torch.randn(2, 3, length, 8, generator=DRAW) for length in (5, 6, 6))
FUTURE = torch.ones(5, 6, dtype=torch.bool).triu(1)


def attend(change=lambda s: s, probabilities=lambda p: p, scale=0.5, dim=-1):
    return lambda q, k, v, *more: probabilities(F.softmax(change(q @ k.mT * scale, *more), dim)) @ v


def search(function, *more):
    return list(find_attention(traced(function, Q, K, V, *more)))


def sizes(shown):
    return tuple(math.prod(axis.size for axis in dim) for dim in shown.layout)


def test_operands_scale_and_axes_are_named():
    (found,) = search(attend())
    assert isinstance(found, Attention)
    assert found.scale == 0.5
    assert (sizes(found.q), sizes(found.k), sizes(found.v)) == ((6, 5, 8), (6, 8, 6), (6, 6, 8))
    assert [axis.size for axis in (*found.inner, *found.columns, *found.own)] == [8, 6, 8]
    assert found.k.layout[2] == found.columns == found.v.layout[1]
    assert found.bias == found.factors == []


def test_what_happens_to_the_scores_is_in_order():
    def change(s):
        s = (s + torch.arange(6.0)).masked_fill(FUTURE, -math.inf)
        return torch.where(torch.arange(6) < 5, s * 3, -1e9)

    (found,) = search(attend(change))
    added, future, last = found.bias
    assert isinstance(added, Added)
    assert added.factor == 3
    assert sizes(added.term) == (6,)
    assert (future.value, future.holds) == (-math.inf, True)
    assert (last.value, last.holds) == (-1e9, False)
    assert isinstance(last, Filled)
    assert found.scale == 1.5


NEAR = {
    "dropout": (attend(probabilities=lambda p: F.dropout(p, 0.1)), "dropout"),
    "soft_cap": (attend(lambda s: 30 * torch.tanh(s / 30)), "tanh of its scores"),
    "used": (lambda q, k, v: ((p := (q @ k.mT).softmax(-1)) @ v, p), "used elsewhere"),
    "scores_used": (lambda q, k, v: ((s := q @ k.mT).softmax(-1) @ v, s.amax()), "used elsewhere"),
    "small_fill": (attend(lambda s: s.masked_fill(FUTURE, -5.0)), "replaced by -5"),
    "positive_fill": (attend(lambda s: s.masked_fill(FUTURE, 1e9)), "replaced by 1e+09"),
    "computed_fill": (attend(lambda s: torch.where(FUTURE, s, s.mean())), "something that is computed"),
    "negated": (attend(lambda s: -s.masked_fill(FUTURE, -1e9)), "neg of its scores"),
    "sign_after": (attend(lambda s: s.masked_fill(FUTURE, -1e9) * -2), "change their sign"),
    "shrunk_fill": (attend(lambda s: s.masked_fill(FUTURE, -1e4) / 100), "replaced by -100"),
    "from_something": (attend(lambda s: torch.ones(6) - s), "sub of its scores"),
    "squared": (attend(lambda s: s * s), "mul of its scores"),
    "half": (lambda q, k, v: (q @ k.mT).half().softmax(-1).float() @ v, "a cast to"),
    "zeroed": (attend(probabilities=lambda p: p.masked_fill(FUTURE, 0)), "masked_fill of its probabilities"),
    "detached": (attend(lambda s: s.detach()), "detach of its scores"),
}


@pytest.mark.parametrize("near", NEAR)
def test_near_misses_stay_and_say_why(near):
    function, reason = NEAR[near]
    found = search(function)
    assert [type(one) for one in found] == [NotAttention]
    assert reason in str(found[0])


@pytest.mark.parametrize(
    "other",
    [
        attend(dim=-2),  # over the queries
        lambda q, k, v: (q @ k.mT).softmax(-1).mT @ q,
        lambda q, k, v: (q @ k.mT).softmax(-1).flatten(1).softmax(-1),
        lambda q, k, v: q.softmax(-1) @ k.mT,  # of a tensor that is no product
        lambda q, k, v: torch.einsum("bhst,bhte->bhe", (q @ k.mT).softmax(-1), v) + 0 * q.sum(),
    ],
)
def test_something_else_with_a_softmax_says_nothing(other):
    assert not any(isinstance(one, Attention) for one in search(other))


def test_a_trained_bias_needs_all_scores():
    bias = torch.zeros(3, 5, 6, requires_grad=True)
    (why,) = search(attend(lambda s, b: s + b), bias)
    assert "trained" in str(why)
    with torch.no_grad():
        (found,) = search(attend(lambda s, b: s + b), bias)
    assert isinstance(found, Attention)
