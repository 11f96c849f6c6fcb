import pytest
import torch
from torch.nn import functional as F

from tests.backend.attention.captures import fused

DRAW = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=DRAW, dtype=torch.float64)


def multi_query(q, k, v):  # [batch, rows, heads, dim] with one head of keys
    p = torch.einsum("bshd,btd->bhst", q, k).softmax(-1)
    return torch.einsum("bhst,btd->bshd", p, v)


def values_by_head_alone(q, k, v):  # [batch, rows, heads, dim], one head of keys, values for each head
    p = torch.einsum("bshd,btd->bhst", q, k[:, :, 0]).softmax(-1)
    return torch.einsum("bhst,bthd->bshd", p, v)


def windows(q, k, v):  # four dimensions of batch
    return (q @ k.mT).softmax(-1) @ v


def flat(q, k, v):  # no batch
    return torch.mm(torch.softmax(torch.mm(q, k.t()), 1), v)


def scores_last(q, k, v):  # [heads, dim, rows]: keys before queries, and values times probabilities
    p = torch.einsum("hdt,hds->hts", k, q).softmax(1)
    return torch.bmm(v, p)


SHAPES = {
    multi_query: ((2, 5, 3, 4), (2, 6, 4), (2, 6, 4)),
    values_by_head_alone: ((2, 5, 3, 4), (2, 6, 3, 4), (2, 6, 3, 4)),
    windows: ((2, 3, 2, 2, 5, 4), (2, 3, 2, 2, 6, 4), (2, 3, 2, 2, 6, 4)),
    flat: ((5, 4), (6, 4), (6, 4)),
    scores_last: ((3, 4, 5), (3, 4, 6), (3, 4, 6)),
}


@pytest.mark.parametrize("function", SHAPES, ids=lambda f: f.__name__)
def test_dimensions_of_any_kind_fit_into_four(function):
    inputs = [normal(*shape).requires_grad_() for shape in SHAPES[function]]
    matched, _, run = fused(function, *inputs)
    assert matched == 1
    out = run(*inputs)
    torch.testing.assert_close(out, function(*inputs))
    assert out.stride() == function(*inputs).stride()  # what follows may be a view
    ours, theirs = (torch.autograd.grad(f(*inputs).sin().sum(), inputs) for f in (run, function))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_heads_that_share_their_keys_are_not_copied():
    seen = []
    attend = F.scaled_dot_product_attention

    def look(q, k, v, **options):
        seen.append(k.stride())
        return attend(q, k, v, **options)

    def grouped(q, k, v):
        k, v = (x[:, :, None].expand(2, 2, 3, 6, 4).reshape(2, 6, 6, 4) for x in (k, v))
        return (q @ k.mT).softmax(-1) @ v

    inputs = normal(2, 6, 5, 4), normal(2, 2, 6, 4), normal(2, 2, 6, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", look)
        matched, _, run = fused(grouped, *inputs)
        torch.testing.assert_close(run(*inputs), grouped(*inputs))
    assert matched == 1
    assert seen


def test_operands_that_were_cast_up_are_taken_as_they_were():
    q, k, v = (normal(2, 5, 4).bfloat16() for _ in range(3))

    def function(q, k, v):
        return (q.float() @ k.float().mT).softmax(-1).to(q.dtype) @ v

    matched, (note,), _ = fused(function, q, k, v)
    assert matched == 0
    assert "different dtypes" in note


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda q, k, v: (q @ k.mT).softmax(-1) @ v[..., :2], "not as wide"),
        (lambda q, k, v: (q @ k.mT * torch.arange(6.0).double().exp()[None]).softmax(-1) @ v, "from key to key"),
    ],
)
def test_what_the_operator_does_not_compute_stays(function, reason):
    matched, (note,), _ = fused(function, normal(2, 5, 4), normal(2, 6, 4), normal(2, 6, 4))
    assert matched == 0
    assert reason in note
