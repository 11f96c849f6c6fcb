"""Expressions that are right on paper and wrong in floating point, as people spell them, with inputs that show it.

Every other one was kept aside while the rules were written (``HELD_OUT``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

WIDE = [-1000.0, -90.0, -17.0, -1.0, -1e-3, 0.0, 1e-3, 0.7, 3.0, 17.5, 40.0, 90.0, 1000.0]
ROWS = [[1000.0, 999.0, -1000.0], [-1000.0, -1001.0, -1005.0], [0.5, -0.25, 2.0], [60.0, -60.0, 0.0]]
OTHER_ROWS = [[-3.0, 1e-2, 120.0], [1.0, 2.0, 3.0], [-500.0, 500.0, 0.0], [0.0, 0.1, 0.2]]
LABELS = [0.0, 1.0, 0.3]
SMALL = [-0.5, -1e-3, -1e-7, -1e-12, 1e-30, 1e-15, 1e-9, 1e-4, 0.02, 0.4, 3.0]
TINY_POSITIVE = [1e-30, 1e-15, 1e-9, 1e-4, 0.02, 0.4, 3.0, 50.0]
LARGE = [1e-30, 1e-12, 1e-3, 0.3, 2.0, 50.0, 1e4, 1e10]
SIGNED_LARGE = [-1e10, -1e4, -50.0, -2.0, -1e-3, 1e-12, 1e-3, 2.0, 50.0, 1e4, 1e10]
UNIT = [-0.999999, -0.9, -0.3, -1e-4, -1e-10, 1e-20, 1e-9, 1e-3, 0.5, 0.99, 0.9999999]
PROBABILITY = [1e-30, 1e-10, 1e-3, 0.25, 0.5, 0.75, 0.999, 0.9999999]
SIMPLEX = [[1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, 0.5, 0.5], [1e-30, 1e-3, 0.999]]
VECTORS = [[3e25, 4e25, 0.0], [3e-25, 4e-25, 1e-25], [1.0, 2.0, 2.0], [-1e-3, 1e3, 5.0]]
OTHER_VECTORS = [[1e25, -4e24, 2e25], [1e-25, 4e-26, -1e-25], [2.0, 1.0, -2.0], [4.0, 1e3, -5.0]]
OFFSET = [[10000.0, 10001.0, 10002.5, 9999.0], [-3000.25, -3000.5, -3000.0, -2999.75], [1.0, 2.0, 3.0, 4.0]]
INDICES = torch.tensor([0, 2, 1, 1])
MASK = [[True, True, True], [False, True, False], [False, False, False], [True, False, False]]


@dataclass(frozen=True)
class Unstable:
    """An expression and inputs; ``expected`` where mathematics alone does not say it (a limit, a convention)."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    gradient: bool = True
    expected: Callable[..., Any] | None = None
    trained: tuple[int, ...] = ()  # which inputs have a gradient; all that are floating-point if empty

    def tensors(self, dtype: torch.dtype) -> list[torch.Tensor]:
        made = [torch.as_tensor(one) for one in self.inputs]
        return [one.to(dtype) if one.is_floating_point() else one for one in made]


def _infonce(x):
    e = torch.exp(x / 0.07)
    return -torch.log(e[:, 0] / e.sum(1))


def _chosen_minus_lse(x, y):
    return x.gather(1, y[:, None]) - torch.log(torch.exp(x).sum(1, keepdim=True))


def _bce(p, y):
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))


def _bce_in_place(x, y):
    p = x.sigmoid()
    loss = p.log().mul_(y)
    loss += (1.0 - p).log() * (1.0 - y)
    return -loss


def _focal(x, y):
    p = torch.sigmoid(x)
    pt = p * y + (1 - p) * (1 - y)
    return -((1 - pt) ** 2) * torch.log(pt)


def _in_place_lse(x):
    e = x.clone().exp_()
    s = e.sum(-1)
    s.log_()
    return s


def _softmax_by_hand(x):
    e = torch.exp(x)
    return e / e.sum(dim=-1, keepdim=True)


def _mask_softmax(x, m):
    return F.softmax(x.masked_fill(~m, float("-inf")), dim=-1)


def _masked_reference(x, m):
    rows = []
    for at in range(m.shape[0]):
        kept = [i for i in range(m.shape[1]) if m[at, i]]
        row = [0.0 * x[at, i] for i in range(m.shape[1])]
        if kept:
            p = torch.softmax(torch.stack([x[at, i] for i in kept]), 0)
            for place, i in enumerate(kept):
                row[i] = p[place]
        rows.append(torch.stack(row))
    return torch.stack(rows)


def _kl_bernoulli(x, y):
    p, q = torch.sigmoid(x), torch.sigmoid(y)
    return p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))


def _cosine(a, b):
    return (a * b).sum(-1) / (torch.sqrt((a * a).sum(-1)) * torch.sqrt((b * b).sum(-1)))


def _cosine_norms(a, b):
    return torch.sum(a * b, dim=1) / (a.norm(dim=1) * b.norm(dim=1))


def _variance(x):
    return (x**2).mean(-1) - x.mean(-1) ** 2


def _variance_of_sums(x):
    n = x.shape[-1]
    return (x * x).sum(-1) / n - (x.sum(-1) / n) ** 2


def _sum_of_squares_less(x):
    n = x.size(-1)
    return (x.pow(2).sum(-1) - x.sum(-1).pow(2) / n) / (n - 1)


def _log_cosh(x):
    return torch.log(torch.cosh(x))


def _nll(x):
    p = F.softmax(x, dim=1)
    return -torch.log(p[torch.arange(4), INDICES])


def _picked(x):
    return -torch.softmax(x, -1).gather(1, INDICES[:, None]).log().squeeze(1)


_HALF_WIDE = [-30.0, -4.0, -1e-2, 0.3, 5.0, 25.0]
_DEFINITE = [[[2e-20, 1e-21], [1e-21, 3e-20]], [[2e15, 1e3], [1e2, 4e15]], [[2.0, 0.5], [0.25, 1.0]]]
_BIG_DETERMINANT = [
    [[1e25, 1.0, 0.0], [2.0, 3e25, 1.0], [0.0, 1.0, 2e25]],
    [[2.0, 0.5, 0.1], [0.3, 1.0, 0.2], [0, 0, 1.0]],
]
_PRODUCTS = [[1e-20, 1e-20, 1e-20, 2.0], [1e20, 3e20, 1e20, 0.5], [1.0, 2.0, 3.0, 4.0]]

UNSTABLE = [
    # softmax and its logarithm
    Unstable("exp / sum(exp)", _softmax_by_hand, (ROWS,)),
    Unstable("x.exp() / x.exp().sum", lambda x: x.exp() / x.exp().sum(1, keepdim=True), (ROWS,)),
    Unstable("exp / sum unsqueezed", lambda x: torch.exp(x) / torch.exp(x).sum(-1).unsqueeze(-1), (ROWS,)),
    Unstable("exp * reciprocal sum", lambda x: x.exp() * x.exp().sum(-1)[:, None].reciprocal(), (ROWS,)),
    Unstable("exp(x / t) / sum", lambda x: torch.exp(x / 0.5) / torch.sum(torch.exp(x / 0.5), -1, True), (ROWS,)),
    Unstable("softmax of first dim", lambda x: torch.exp(x) / torch.exp(x).sum(0), (ROWS,)),
    Unstable("log(softmax)", lambda x: torch.log(torch.softmax(x, dim=-1)), (ROWS,)),
    Unstable("F.softmax().log()", lambda x: F.softmax(x, 1).log(), (ROWS,)),
    Unstable("log of softmax by hand", lambda x: torch.log(_softmax_by_hand(x)), (ROWS,)),
    Unstable(
        "log of stabilised softmax",
        lambda x: torch.log(
            torch.exp(x - x.max(-1, keepdim=True).values) / torch.exp(x - x.max(-1, keepdim=True).values).sum(-1, True)
        ),
        (ROWS,),
    ),
    Unstable("x - log(sum(exp))", lambda x: x - torch.log(torch.exp(x).sum(-1, keepdim=True)), (ROWS,)),
    Unstable("log softmax transposed", lambda x: x.softmax(-1).transpose(0, 1).log(), (ROWS,)),
    Unstable("log softmax picked by index", _nll, (ROWS,)),
    Unstable("log softmax gathered", _picked, (ROWS,)),
    Unstable("nll_loss(log(softmax))", lambda x: F.nll_loss(torch.log(F.softmax(x, dim=1)), INDICES), (ROWS,)),
    Unstable(
        "cross-entropy by hand", lambda x, y: -(y * x.softmax(-1).log()).sum(-1).mean(), (ROWS, SIMPLEX), trained=(0,)
    ),
    Unstable("softmax log2", lambda x: torch.log2(torch.softmax(x, -1)), (ROWS,)),
    Unstable("log of softmin", lambda x: torch.log(F.softmin(x, dim=-1)), (ROWS,)),
    # log-sum-exp
    Unstable("log(sum(exp))", lambda x: torch.log(torch.sum(torch.exp(x), dim=-1)), (ROWS,)),
    Unstable("x.exp().sum().log()", lambda x: x.exp().sum().log(), (ROWS,)),
    Unstable("in-place lse", _in_place_lse, (ROWS,)),
    Unstable("log sum exp keepdim squeeze", lambda x: x.exp().sum(1, keepdim=True).log().squeeze(1), (ROWS,)),
    Unstable("t log sum exp(x / t)", lambda x: 0.1 * torch.log(torch.exp(x / 0.1).sum(-1)), (ROWS,)),
    Unstable("log mean exp", lambda x: torch.log(torch.mean(torch.exp(x), dim=-1)), (ROWS,)),
    Unstable("log(sum(exp) / n)", lambda x: torch.log(torch.exp(x).sum(-1) / x.shape[-1]), (ROWS,)),
    Unstable(
        "log sum w exp",
        lambda x, w: torch.log((w * torch.exp(x)).sum(-1)),
        (ROWS, [[0.2, 0.3, 0.5]]),
    ),
    Unstable("log of sum of products", lambda x, y: torch.log((x.exp() * y.exp()).sum(-1)), (ROWS, OTHER_ROWS)),
    Unstable("log sum exp both dims", lambda x: torch.log(x.exp().sum((0, 1))), (ROWS,)),
    Unstable("log10 sum 10^", lambda x: torch.log(torch.sum(torch.exp(2 * x + 1), 0)), (ROWS,)),
    Unstable(
        "log(sum(sigmoid))", lambda x: torch.log(torch.sigmoid(x).sum(-1)), ([[-900.0, -901.0, -950.0], [1, 2, 3.0]],)
    ),
    # logaddexp
    Unstable("log(exp(a) + exp(b))", lambda a, b: torch.log(torch.exp(a) + torch.exp(b)), (WIDE, WIDE[::-1])),
    Unstable("log(a.exp().add(b.exp()))", lambda a, b: a.exp().add(b.exp()).log(), (WIDE, [5.0] * 13)),
    Unstable(
        "log of three exps",
        lambda a, b, c: torch.log(a.exp() + b.exp() + c.exp()),
        ([1000.0, -800.0, 1.0], [999.0, -801.0, 2.0], [0.0, -850.0, 3.0]),
    ),
    Unstable("log(1 + exp(a) + exp(b))", lambda a, b: torch.log(1 + a.exp() + b.exp()), (WIDE, WIDE[::-1])),
    Unstable(
        "log(exp(a) - exp(b))",
        lambda a, b: torch.log(torch.exp(a) - torch.exp(b)),
        ([1000.0, -800.0, 1.0, 0.5], [999.0, -801.0, 0.999, 0.25]),
    ),
    Unstable(
        "log mean of two",
        lambda a, b: torch.log(0.5 * (torch.exp(a) + torch.exp(b))),
        ([1000.0, -800.0, 1.0], [999.0, -801.0, 2.5]),
    ),
    # softplus, sigmoid and their logarithms
    Unstable("log(1 + exp)", lambda x: torch.log(1 + torch.exp(x)), (WIDE,)),
    Unstable("log1p(exp)", lambda x: torch.log1p(torch.exp(x)), (WIDE,)),
    Unstable("(x.exp() + 1).log()", lambda x: (x.exp() + 1.0).log(), (WIDE,)),
    Unstable("softplus beta", lambda x: torch.log(1 + torch.exp(2.0 * x)) / 2.0, (WIDE,)),
    Unstable("log(1 + exp(-yx))", lambda x: torch.log(1 + torch.exp(-x)).mean(), (WIDE,)),
    Unstable("log sigmoid", lambda x: torch.log(torch.sigmoid(x)), (WIDE,)),
    Unstable("sigmoid().log()", lambda x: x.sigmoid().log(), (WIDE,)),
    Unstable("log(1 / (1 + exp(-x)))", lambda x: torch.log(1 / (1 + torch.exp(-x))), (WIDE,)),
    Unstable("log(1 - sigmoid)", lambda x: torch.log(1 - torch.sigmoid(x)), (WIDE,)),
    Unstable("log1p(-sigmoid)", lambda x: torch.log1p(-torch.sigmoid(x)), (WIDE,)),
    Unstable("1 - sigmoid", lambda x: 1 - torch.sigmoid(x), (WIDE,)),
    Unstable("1 - expit", lambda x: 1.0 - torch.special.expit(x), (WIDE,)),
    Unstable("rsub of sigmoid", lambda x: torch.rsub(x.sigmoid(), 1), (WIDE,)),
    Unstable("exp / (1 + exp)", lambda x: torch.exp(x) / (1 + torch.exp(x)), (WIDE,)),
    Unstable("1 / (1 + exp(-x))", lambda x: 1 / (1 + torch.exp(-x)), (WIDE,)),
    Unstable("(1 + (-x).exp()).reciprocal()", lambda x: (1 + (-x).exp()).reciprocal(), (WIDE,)),
    Unstable("(1 + exp(-x)) ** -1", lambda x: (1 + torch.exp(-x)) ** -1, (WIDE,)),
    Unstable("1 - 1 / (1 + exp(-x))", lambda x: 1 - 1 / (1 + torch.exp(-x)), (WIDE,)),
    Unstable("exp(-x) / (1 + exp(-x)) ** 2", lambda x: torch.exp(-x) / (1 + torch.exp(-x)) ** 2, (WIDE,)),
    Unstable("two-class softmax", lambda a, b: a.exp() / (a.exp() + b.exp()), (WIDE, [3.0] * 13)),
    Unstable("2 sigmoid - 1", lambda x: 2 * torch.sigmoid(x) - 1, (WIDE,)),
    Unstable("p (1 - p)", lambda x: torch.sigmoid(x) * (1 - torch.sigmoid(x)), (WIDE,)),
    Unstable("inverse softplus", lambda x: torch.log(torch.exp(x) - 1), ([*TINY_POSITIVE, 1000.0],)),
    Unstable("log(expm1)", lambda x: torch.expm1(x).log(), ([*TINY_POSITIVE, 1000.0],)),
    Unstable("log(1 - exp(-x))", lambda x: torch.log(1 - torch.exp(-x)), ([*TINY_POSITIVE, 1000.0],)),
    Unstable("mish by hand", lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))), (WIDE,)),
    # losses
    Unstable("bce of sigmoid", lambda x, y: _bce(torch.sigmoid(x), y), ([-1000.0, 1000.0, 3.0], LABELS), trained=(0,)),
    Unstable(
        "F.binary_cross_entropy(sigmoid)",
        lambda x, y: F.binary_cross_entropy(torch.sigmoid(x), y),
        ([-40.0, 60.0, 3.0], [1.0, 0.0, 0.3]),
        trained=(0,),
    ),
    Unstable("bce in place", _bce_in_place, ([-1000.0, 1000.0, 3.0], LABELS), trained=(0,)),
    Unstable(
        "weighted bce",
        lambda x, y: -(3.0 * y * x.sigmoid().log() + (1 - y) * (1 - x.sigmoid()).log()).sum(),
        ([-1000.0, 1000.0, 3.0], LABELS),
        trained=(0,),
    ),
    Unstable(
        "bce of given probabilities",
        _bce,
        ([0.0, 1.0, 0.3, 1e-20], [0.0, 1.0, 0.5, 0.5]),
        gradient=False,
        expected=lambda p, y: -(torch.xlogy(y, p) + torch.xlogy(1 - y, 1 - p)),
    ),
    Unstable(
        "kl of softmaxes",
        lambda x, y: (x.softmax(-1) * (x.softmax(-1).log() - y.softmax(-1).log())).sum(-1),
        (ROWS, OTHER_ROWS),
    ),
    Unstable(
        "kl by quotient",
        lambda x, y: torch.sum(F.softmax(x, -1) * torch.log(F.softmax(x, -1) / F.softmax(y, -1))),
        (ROWS, OTHER_ROWS),
    ),
    Unstable(
        "F.kl_div(log softmax, softmax)",
        lambda x, y: F.kl_div(torch.log(F.softmax(x, -1)), F.softmax(y, -1), reduction="batchmean"),
        (ROWS, OTHER_ROWS),
        trained=(0,),
    ),
    Unstable("kl of bernoullis", _kl_bernoulli, ([-200.0, 300.0, 1.0], [4.0, -3.0, 0.5])),
    Unstable(
        "kl of given probabilities",
        lambda p, q: (p * torch.log(p / q)).sum(-1),
        (SIMPLEX, [[0.2, 0.3, 0.5]]),
        gradient=False,
        expected=lambda p, q: (torch.xlogy(p, p) - p * torch.log(q)).sum(-1),
    ),
    Unstable("entropy of softmax", lambda x: -(x.softmax(-1) * x.softmax(-1).log()).sum(-1), (ROWS,)),
    Unstable(
        "entropy of given p",
        lambda p: -(p * p.log()).sum(-1),
        (SIMPLEX,),
        gradient=False,
        expected=lambda p: -torch.xlogy(p, p).sum(-1),
    ),
    Unstable(
        "entropy of sigmoid",
        lambda x: (
            -(torch.sigmoid(x) * torch.log(torch.sigmoid(x)) + (1 - torch.sigmoid(x)) * torch.log(1 - torch.sigmoid(x)))
        ),
        ([-90.0, -3.0, 0.0, 4.0, 70.0],),
    ),
    Unstable("entr(softmax)", lambda x: torch.special.entr(torch.softmax(x, -1)).sum(-1), (ROWS,)),
    Unstable(
        "jensen-shannon",
        lambda x, y: (x.softmax(-1) * torch.log(x.softmax(-1) / (0.5 * (x.softmax(-1) + y.softmax(-1))))).sum(-1),
        (OTHER_ROWS, [[1.0, 2.0, -4.0]]),
    ),
    Unstable("logistic loss", lambda x: torch.log(1 + torch.exp(-x)).sum(), ([-1000.0, 900.0, 0.1],)),
    Unstable("nce", lambda x: -torch.log(x[:, :1].exp() / x.exp().sum(1, keepdim=True)).mean(), (ROWS,)),
    # log1p and expm1
    Unstable("log(1 + x)", lambda x: torch.log(1 + x), (SMALL,)),
    Unstable("(x + 1).log()", lambda x: (x + 1).log(), (SMALL,)),
    Unstable("log(1 - x)", lambda x: torch.log(1 - x), ([-3.0, -1e-12, 1e-25, 1e-12, 1e-5, 0.3, 0.99],)),
    Unstable("log(1 + x^2)", lambda x: torch.log(1 + x**2), ([1e-12, 1e-4, -0.3, 5.0, 1e6],)),
    Unstable("log2(1 + x)", lambda x: torch.log2(1 + x), (SMALL,)),
    Unstable("log(1 + x / k)", lambda x: torch.log(1.0 + x / 7.0), (SMALL,)),
    Unstable("log10(1 + x)", lambda x: torch.log10(x.add(1)), (SMALL,)),
    Unstable("exp(x) - 1", lambda x: torch.exp(x) - 1, (SMALL,)),
    Unstable("x.exp().sub(1)", lambda x: x.exp().sub(1), (SMALL,)),
    Unstable("1 - exp(-x)", lambda x: 1 - torch.exp(-x), (SMALL,)),
    Unstable("in-place expm1", lambda x: x.exp().sub_(1.0), (SMALL,)),
    Unstable("a (exp(x) - 1)", lambda x: 1.67 * (torch.exp(x) - 1), (SMALL,)),
    Unstable("-1 + exp(x)", lambda x: -1.0 + x.exp(), (SMALL,)),
    Unstable("(exp(x) - 1) / x", lambda x: (torch.exp(x) - 1) / x, (SMALL,)),
    Unstable("2 ** x - 1", lambda x: torch.exp2(x) - 1, (SMALL,)),
    Unstable("rate to growth", lambda x: torch.exp(torch.log(1 + x) * 3) - 1, (SMALL[:-1],)),
    # roots, norms, cosines
    Unstable(
        "sqrt(x^2 + y^2)",
        lambda x, y: torch.sqrt(x * x + y * y),
        ([3e25, 3e-25, 3.0, -5.0, 0.0], [4e25, 4e-25, 4.0, 12.0, 2.0]),
    ),
    Unstable(
        "(x**2 + y**2) ** 0.5",
        lambda x, y: (x**2 + y**2) ** 0.5,
        ([3e25, 3e-25, 3.0, -5.0, 0.0], [4e25, 4e-25, 4.0, 12.0, 2.0]),
    ),
    Unstable(
        "hypot at 0",
        lambda x, y: torch.sqrt(x.square() + y.square()),
        ([0.0, 3.0], [0.0, 4.0]),
        gradient=True,
        expected=torch.hypot,
    ),
    Unstable("sqrt(sum(x^2))", lambda x: torch.sqrt((x**2).sum(-1)), (VECTORS,)),
    Unstable("x.pow(2).sum().sqrt()", lambda x: x.pow(2).sum(-1, keepdim=True).sqrt(), (VECTORS,)),
    Unstable("sum of squares ** 0.5", lambda x: torch.sum(torch.square(x), dim=1) ** 0.5, (VECTORS,)),
    Unstable(
        "norm at 0",
        lambda x: torch.sqrt((x * x).sum(-1)),
        ([[0.0, 0.0], [3.0, 4.0]],),
        expected=lambda x: torch.hypot(x[..., 0], x[..., 1]),
    ),
    Unstable("x / norm", lambda x: x / torch.sqrt((x * x).sum(-1, keepdim=True)), (VECTORS,)),
    Unstable("x * rsqrt", lambda x: x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True)), (VECTORS,)),
    Unstable("distance", lambda x, y: torch.sqrt(((x - y) ** 2).sum(-1)), (VECTORS, OTHER_VECTORS)),
    Unstable("root mean square", lambda x: x.square().mean(-1).sqrt(), (VECTORS,)),
    Unstable("cosine similarity", _cosine, (VECTORS, OTHER_VECTORS)),
    Unstable(
        "cosine by one root",
        lambda a, b: (a * b).sum(-1) / torch.sqrt((a * a).sum(-1) * (b * b).sum(-1)),
        (VECTORS, OTHER_VECTORS),
    ),
    Unstable(
        "cosine of normalised",
        lambda a, b: (a / a.pow(2).sum(-1, True).sqrt() * (b / b.pow(2).sum(-1, True).sqrt())).sum(-1),
        (VECTORS, OTHER_VECTORS),
    ),
    Unstable(
        "3d length",
        lambda x, y, z: torch.sqrt(x**2 + y**2 + z**2),
        ([1e25, 1e-25, 2.0], [2e25, 2e-25, 3.0], [2e25, 2e-25, 6.0]),
    ),
    Unstable("cosine with library norms", _cosine_norms, ([[1.0, 2.0, 2.0], [3.0, 0.0, 4.0]], [[2.0, 1.0, 2.0]] * 2)),
    # cancellation
    Unstable("variance E[x2] - E[x]2", _variance, (OFFSET,)),
    Unstable("variance by sums", _variance_of_sums, (OFFSET,)),
    Unstable("sample variance by sums", _sum_of_squares_less, (OFFSET,)),
    Unstable(
        "variance keepdim",
        lambda x: torch.mean(x * x, dim=1, keepdim=True) - torch.mean(x, 1, True).square(),
        (OFFSET,),
    ),
    Unstable("std by moments", lambda x: torch.sqrt((x * x).mean(-1) - x.mean(-1) ** 2), (OFFSET,)),
    Unstable("variance of all", lambda x: (x**2).mean() - x.mean() ** 2, ([1000.0, 1001.0, 1002.5],)),
    Unstable("covariance", lambda x, y: (x * y).mean(-1) - x.mean(-1) * y.mean(-1), (OFFSET, OFFSET[::-1])),
    Unstable("a^2 - b^2", lambda a, b: a**2 - b**2, ([10000.0, 1.0, 3e25], [9999.0, 1.0001, 2.99e25])),
    Unstable("a a - b b", lambda a, b: a * a - b * b, ([10000.0, 1.0, 7.0], [9999.0, 1.0001, -2.0])),
    Unstable("1 - x^2", lambda x: 1 - x * x, (UNIT,)),
    Unstable("1 - cos", lambda x: 1 - torch.cos(x), ([1e-20, 1e-8, 1e-4, 0.3, 2.0, -1.0],)),
    Unstable("cos - 1", lambda x: x.cos() - 1, ([1e-18, 1e-8, 1e-4, 0.3, 2.0, -1.0],)),
    Unstable("(1 - cos) / x^2", lambda x: (1 - torch.cos(x)) / x**2, ([1e-8, 1e-4, 0.3, 2.0, -1.0],)),
    Unstable("1 - tanh^2", lambda x: 1 - torch.tanh(x) ** 2, ([-80.0, -9.0, -0.5, 0.0, 1e-3, 4.0, 20.0],)),
    Unstable("1 - tanh", lambda x: 1 - torch.tanh(x), ([-80.0, -9.0, -0.5, 0.0, 1e-3, 4.0, 20.0],)),
    Unstable("log(1 - tanh^2)", lambda x: torch.log(1 - torch.tanh(x).pow(2)), ([-80.0, -9.0, -0.5, 0.1, 4.0, 500.0],)),
    Unstable("1 - erf", lambda x: 1 - torch.erf(x), ([-5.0, -0.5, 0.1, 2.0, 5.0, 8.0],)),
    Unstable("sqrt(x + 1) - sqrt(x)", lambda x: torch.sqrt(x + 1) - torch.sqrt(x), ([1e-3, 1.0, 1e4, 1e10, 1e20],)),
    Unstable("sqrt(1 + x) - 1", lambda x: torch.sqrt(1 + x) - 1, (SMALL,)),
    Unstable("sqrt(x^2 + 1) - x", lambda x: torch.sqrt(x**2 + 1) - x, (SIGNED_LARGE,)),
    Unstable("1/x - 1/(x + 1)", lambda x: 1 / x - 1 / (x + 1), ([1e-3, 1.0, 1e4, 1e10],)),
    Unstable("log(x + 1) - log(x)", lambda x: torch.log(x + 1) - torch.log(x), ([1e-3, 1.0, 1e4, 1e10],)),
    Unstable("cosh - 1", lambda x: torch.cosh(x) - 1, ([1e-15, 1e-4, 0.3, -3.0],)),
    # hyperbolic functions by hand
    Unstable("tanh by exps", lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x)), (WIDE,)),
    Unstable("tanh by exp(2x)", lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1), (WIDE,)),
    Unstable("tanh by exp(-2x)", lambda x: (1 - (-2 * x).exp()) / (1 + (-2 * x).exp()), (WIDE,)),
    Unstable("sinh by exps", lambda x: (torch.exp(x) - torch.exp(-x)) / 2, ([1e-20, 1e-5, 0.3, -3.0, 30.0],)),
    Unstable("atanh", lambda x: 0.5 * torch.log((1 + x) / (1 - x)), (UNIT,)),
    Unstable("atanh by difference", lambda x: (torch.log(1 + x) - torch.log(1 - x)) / 2, (UNIT,)),
    Unstable("asinh", lambda x: torch.log(x + torch.sqrt(x**2 + 1)), ([*SIGNED_LARGE, 0.0, 1e25, -1e25],)),
    Unstable("acosh", lambda x: torch.log(x + torch.sqrt(x * x - 1)), ([1.0001, 1.5, 40.0, 1e10],)),
    Unstable("log cosh", _log_cosh, ([-1000.0, -20.0, -0.5, 1e-3, 1e-6, 3.0, 90.0, 1000.0],)),
    Unstable(
        "log((e^x + e^-x) / 2)", lambda x: torch.log((x.exp() + (-x).exp()) / 2), ([-1000.0, 1e-3, 3.0, 90.0, 1000.0],)
    ),
    Unstable("logit by hand", lambda p: torch.log(p / (1 - p)), (PROBABILITY,)),
    Unstable("logit of sigmoid", lambda x: torch.log(torch.sigmoid(x) / (1 - torch.sigmoid(x))), (WIDE,)),
    # cumulative, determinants, products
    Unstable("log cumsum exp", lambda x: torch.log(torch.cumsum(torch.exp(x), dim=-1)), (OTHER_ROWS + ROWS,)),
    Unstable("exp().cumsum().log()", lambda x: x.exp().cumsum(1).log(), (OTHER_ROWS + ROWS,)),
    Unstable("log det", lambda a: torch.log(torch.det(a)), (_BIG_DETERMINANT,)),
    Unstable("log(linalg.det)", lambda a: torch.linalg.det(a).log(), (_DEFINITE,)),
    Unstable("log |det|", lambda a: torch.log(torch.abs(torch.linalg.det(a))), (_BIG_DETERMINANT,)),
    Unstable("geometric mean", lambda x: x.prod(-1) ** (1 / 4), (_PRODUCTS,)),
    Unstable("geometric mean by pow", lambda x: torch.pow(torch.prod(x, dim=1), 0.25), (_PRODUCTS,)),
    Unstable("log prod", lambda x: torch.log(torch.prod(x, -1)), (_PRODUCTS,)),
    Unstable("log likelihood of product", lambda x: torch.log(torch.sigmoid(x).prod(-1)), (ROWS,)),
    Unstable("log of a product of exps", lambda x, y: torch.log(torch.exp(x) * torch.exp(y)), (WIDE, [2.0] * 13)),
    # where, masks
    Unstable(
        "where(x > 0, log x, 0)",
        lambda x: torch.where(x > 0, torch.log(x), 0.0),
        ([-1.0, -1e-30, 0.5, 2.0],),
        expected=lambda x: torch.where(x > 0, torch.log(torch.where(x > 0, x, 1.0 + 0 * x)), 0.0 * x),
    ),
    Unstable(
        "where(x > 0, sqrt x, 0)",
        lambda x: torch.where(x > 0, x.sqrt(), torch.zeros_like(x)),
        ([-1.0, -1e-30, 0.25, 2.0],),
        expected=lambda x: torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1.0 + 0 * x)), 0.0 * x),
    ),
    Unstable(
        "where(x == 0, 1, sin x / x)",
        lambda x: torch.where(x == 0, 1.0, torch.sin(x) / x),
        ([0.0, 0.5, 2.0],),
        expected=lambda x: torch.where(x == 0, 1.0 + 0 * x, torch.sin(x) / torch.where(x == 0, 1.0 + 0 * x, x)),
    ),
    Unstable(
        "masked_fill(1 / x)",
        lambda x: (1 / x).masked_fill(x == 0, 0.0),
        ([0.0, 0.5, -2.0],),
        gradient=False,
        expected=lambda x: torch.where(x == 0, 0.0 * x, 1 / torch.where(x == 0, 1.0 + 0 * x, x)),
    ),
    Unstable("elu by where", lambda x: torch.where(x > 0, x, torch.exp(x) - 1), ([-3.0, -1e-6, 2.0, 1000.0],)),
    Unstable(
        "nested where",
        lambda x: torch.where(x > 0, 2 * torch.log(x) / x, 3.0 * x),
        ([-1.0, -1e-30, 0.25, 2.0],),
        expected=lambda x: torch.where(
            x > 0, 2 * torch.log(torch.where(x > 0, x, 1 + 0 * x)) / torch.where(x > 0, x, 1.0 + 0 * x), 3.0 * x
        ),
    ),
    Unstable("softmax of masked rows", _mask_softmax, (ROWS, MASK), expected=_masked_reference),
    Unstable(
        "softmax of masked rows, where",
        lambda x, m: torch.softmax(torch.where(m, x, float("-inf")), -1),
        (ROWS, MASK),
        expected=_masked_reference,
    ),
    Unstable(
        "softmax of masked rows, added",
        lambda x, m: (x + torch.zeros_like(x).masked_fill(~m, -math.inf)).softmax(1),
        (ROWS, MASK),
        expected=_masked_reference,
    ),
    # one column of a row, lengths, what is put together of what overflows
    Unstable(
        "infonce with a temperature",  # where one column has nearly all, torch's gradient of log_softmax cancels
        _infonce,
        ([[80.0, 80.1, -3.0], [-200.0, -199.9, -203.0], [0.2, 0.1, 1.5]],),
    ),
    Unstable("column - lse", lambda x: x[..., 2] - x.exp().sum(1).log(), (ROWS,)),
    Unstable("chosen - lse", _chosen_minus_lse, (ROWS, INDICES)),
    Unstable("softmax base 2", lambda x: 2**x / (2**x).sum(-1, keepdim=True), (OTHER_ROWS,)),
    Unstable("log power", lambda x, y: 0.5 * torch.log(x * x + y * y), ([3e30, 4e-30, -5.0], [4e30, 3e-30, 1e3])),
    Unstable("log energy", lambda x: torch.log((x**2).sum(-1)), (VECTORS,)),
    Unstable("student t", lambda x: -2.0 * torch.log(1 + x**2 / 3), ([1e25, 1.0, 1e-5, -300.0, 16.0, -28.0],)),
    Unstable("pseudo-huber", lambda x: torch.sqrt(1 + x**2) - 1, ([-1e25, -1.0, -1e-3, 1e-5, 2.0, 1e15],)),
    Unstable("squares beyond the range", lambda a, b: a**2 - b**2, ([1000.1, 3e25, 2e25], [1000.0, 2e25, 3e25])),
    Unstable("(a - b)^2 by parts", lambda a, b: a**2 - 2 * a * b + b**2, ([1000.125, 3.0], [1000.0, 2.99])),
]

HELD_OUT = UNSTABLE[1::2]
WORKED_ON = UNSTABLE[::2]
