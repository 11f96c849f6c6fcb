"""Expressions that have to stay as they are: compensated arithmetic, NaN and infinity that mean something, a user's own
regulariser, near misses of every rule, and what is stable already."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

X = torch.tensor([[0.5, -1.25, 2.0], [3.0, 0.1, -0.7], [1.5, 0.2, 0.4]])
P = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.1, 0.9], [1.0, 0.0, 0.0]])
M = torch.tensor([[True, False, True], [True, True, False], [False, True, True]])


def _sigmoid_by_sign(x):
    z = torch.exp(-x.abs())
    return torch.where(x >= 0, 1 / (1 + z), z / (1 + z))


def _scaled_norm(x):
    largest = x.abs().amax(-1, keepdim=True)
    return largest.squeeze(-1) * torch.sqrt(((x / largest) ** 2).sum(-1))


def _bce_of_clamped(x, y):
    p = torch.sigmoid(x).clamp(1e-6, 1 - 1e-6)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))


def _kahan(x):
    total, c = torch.zeros(3), torch.zeros(3)
    for row in x:
        y = row - c
        t = total + y
        c = (t - total) - y
        total = t
    return total


def _kahan_in_place(x):
    total, c = torch.zeros(3), torch.zeros(3)
    for row in x:
        y = row.clone()
        y -= c
        t = total + y
        c = t - total
        c -= y
        total = t
    return total


def _kahan_of_exps(x):
    total, c = torch.zeros(3), torch.zeros(3)
    for row in x.exp():
        y = row - c
        t = total + y
        c = (t - total) - y
        total = t
    return torch.log(total)


def _neumaier(x):
    total, c = x[0], torch.zeros(3)
    for row in x[1:]:
        t = total + row
        c = c + torch.where(total.abs() >= row.abs(), (total - t) + row, (row - t) + total)
        total = t
    return total + c


def _two_sum(a, b):
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def _fast_two_sum(a, b):
    s = a + b
    return s, b - (s - a)


def _split(a):
    c = 4097.0 * a
    high = c - (c - a)
    return high, a - high


def _two_product(a, b):
    p = a * b
    ah, al = _split(a)
    bh, bl = _split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _two_square(a):
    p = a * a
    high, low = _split(a)
    return p, ((high * high - p) + 2 * high * low) + low * low


def _compensated_dot(a, b):
    total, c = torch.zeros(3), torch.zeros(3)
    for x, y in zip(a, b, strict=True):
        p, e = _two_product(x, y)
        total, f = _two_sum(total, p)
        c = c + (e + f)
    return total + c


def _kahan_log1p(x):
    u = 1 + x
    return torch.where(u == 1, x, torch.log(u) * x / (u - 1))


def _kahan_log1p_plain(x):
    u = 1.0 + x
    return u.log() * (x / (u - 1.0))


def _kahan_expm1(x):
    u = torch.exp(x)
    return (u - 1) * x / torch.log(u)


def _exact_step(x):
    moved = x + 1e-3
    h = moved - x
    return (torch.exp(moved) - torch.exp(x)) / h


def _newton_root(x):
    a = x.square().sum(-1)
    r = torch.sqrt(a)
    return r - (r * r - a) / (2 * r)


def _rounding_error(x):
    return x - (x.half().float())


def _round_by_magic(x):
    return (x + 12582912.0) - 12582912.0


def _welford(x):
    mean, m2 = torch.zeros(3), torch.zeros(3)
    for n, row in enumerate(x, start=1):
        delta = row - mean
        mean = mean + delta / n
        m2 = m2 + delta * (row - mean)
    return m2 / x.shape[0]


def _double_word_add(a, b):
    s, e = _two_sum(a, b)
    e = e + 1e-9 * a
    return _fast_two_sum(s, e)


def _pairwise(x):
    return (x[0] + x[1]) + (x[2] + x[0])


def _safe_log(x):
    safe = torch.where(x > 0, x, 1.0)
    return torch.where(x > 0, torch.log(safe), 0.0)


def _lse_by_hand(x):
    m = x.amax(-1, keepdim=True)
    return m.squeeze(-1) + torch.log(torch.exp(x - m).sum(-1))


def _softmax_by_hand(x):
    e = torch.exp(x - x.max(dim=-1, keepdim=True).values)
    return e / e.sum(-1, keepdim=True)


def _rms_norm(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def _layer_norm(x):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + 1e-5)


def _stable_bce(x, y):
    return torch.clamp(x, min=0) - x * y + torch.log1p(torch.exp(-torch.abs(x)))


UNTOUCHED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    # compensated arithmetic
    "kahan": (_kahan, (X,)),
    "kahan in place": (_kahan_in_place, (X,)),
    "kahan of exps": (_kahan_of_exps, (X,)),
    "neumaier": (_neumaier, (X,)),
    "two-sum": (_two_sum, (X, P)),
    "fast two-sum": (_fast_two_sum, (X, P)),
    "dekker split": (_split, (X,)),
    "two-product": (_two_product, (X, P)),
    "two-square": (_two_square, (X,)),
    "compensated dot": (_compensated_dot, (X, P)),
    "kahan log1p": (_kahan_log1p, (P,)),
    "kahan log1p plain": (_kahan_log1p_plain, (P,)),
    "kahan expm1": (_kahan_expm1, (X,)),
    "exact step": (_exact_step, (X,)),
    "newton residual": (_newton_root, (X,)),
    "rounding error": (_rounding_error, (X,)),
    "round by magic number": (_round_by_magic, (X,)),
    "welford": (_welford, (X,)),
    "double-word addition": (_double_word_add, (X, P)),
    "pairwise sum": (_pairwise, (X,)),
    "unit roundoff": (lambda x: (1 + x) - 1, (X,)),
    "x + y - x": (lambda x, y: (x + y) - x, (X, P)),
    "error of a square": (lambda x: x * x - (x * 3.0) * x / 3.0, (X,)),
    # NaN and infinity that mean something
    "log at 0": (torch.log, (P,)),
    "x / x": (lambda x: x / x, (P,)),
    "x - x": (lambda x: x - x, (X,)),
    "x != x": (lambda x: x != x, (X,)),  # noqa: PLR0124 - a test for NaN
    "isnan": (torch.isnan, (X,)),
    "(x - x) == 0": (lambda x: (x - x) == 0, (X,)),
    "1 / x": (lambda x: 1 / x, (P,)),
    "sqrt of negative": (torch.sqrt, (X,)),
    "-log p": (lambda p: -torch.log(p), (P,)),
    "inf mask": (lambda x, m: x.masked_fill(m, float("-inf")), (X, M)),
    "x * 0": (lambda x: x * 0, (X,)),
    "log(x) - log(y)": (lambda x, y: torch.log(x) - torch.log(y), (P, P + 1)),
    "exp overflow test": (lambda x: torch.isinf(torch.exp(x)), (X,)),
    "log |x|": (lambda x: x.abs().log(), (P,)),
    "odds": (lambda p: p / (1 - p), (P,)),
    "log_softmax of -inf": (lambda x, m: F.log_softmax(x.masked_fill(m, float("-inf")), -1), (X, M)),
    # a user's own regulariser
    "log(p + eps)": (lambda p: torch.log(p + 1e-8), (P,)),
    "log(eps + softmax)": (lambda x: torch.log(1e-12 + x.softmax(-1)), (X,)),
    "log clamp": (lambda p: torch.log(p.clamp(min=1e-7)), (P,)),
    "log clamped sigmoid": (lambda x: torch.log(torch.sigmoid(x).clamp(1e-6, 1 - 1e-6)), (X,)),
    "sqrt(sum + eps)": (lambda x: torch.sqrt(x.pow(2).sum(-1) + 1e-8), (X,)),
    "charbonnier": (lambda x: torch.sqrt(x * x + 1e-6), (X,)),
    "x / (y + eps)": (lambda x, y: x / (y + 1e-8), (X, P)),
    "rms norm": (_rms_norm, (X,)),
    "layer norm": (_layer_norm, (X,)),
    "gumbel with eps": (lambda u: -torch.log(-torch.log(u + 1e-20) + 1e-20), (P,)),
    "F.normalize": (lambda x: F.normalize(x, dim=-1), (X,)),
    "norm clamp": (lambda x: x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12), (X,)),
    "bce of a clamped probability": (_bce_of_clamped, (X, P)),
    # stable already
    "sigmoid of what is at most 1": (_sigmoid_by_sign, (X,)),
    "norm of what is at most 1": (_scaled_norm, (X,)),
    "log1p + expm1": (lambda x: torch.log1p(x.abs()) + torch.expm1(x), (X,)),
    "logsigmoid - logsigmoid": (lambda x: -F.logsigmoid(x) - F.logsigmoid(-x), (X,)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), (X,)),
    "softmax": (lambda x: F.softmax(x, -1), (X,)),
    "logsumexp": (lambda x: torch.logsumexp(x, -1), (X,)),
    "lse by hand": (_lse_by_hand, (X,)),
    "softmax by hand": (_softmax_by_hand, (X,)),
    "cross_entropy": (lambda x: F.cross_entropy(x, torch.tensor([0, 1, 2])), (X,)),
    "stable bce": (_stable_bce, (X, P)),
    "bce with logits": (F.binary_cross_entropy_with_logits, (X, P)),
    "safe log": (_safe_log, (X,)),
    "log1p": (lambda x: torch.log1p(x.abs()), (X,)),
    "expm1": (torch.expm1, (X,)),
    "softplus": (F.softplus, (X,)),
    "var": (lambda x: x.var(-1), (X,)),
    # near misses
    "exp / sum of other exp": (lambda x, y: x.exp() / y.exp().sum(-1, keepdim=True), (X, P)),
    "exp / sum of other dim": (lambda x: x.exp() / x.exp().sum(-1), (X,)),
    "log(2 + x)": (lambda x: torch.log(2.5 + x.abs()), (X,)),
    "exp(x) - 2": (lambda x: torch.exp(x) - 2, (X,)),
    "mean(x2) - mean(y)2": (lambda x, y: (x * x).mean(-1) - y.mean(-1) ** 2, (X, P)),
    "mean of other dims": (lambda x: (x * x).mean(0) - x.mean(1) ** 2, (X,)),
    "sqrt(sum(x^3))": (lambda x: torch.sqrt((x.abs() ** 3).sum(-1)), (X,)),
    "x / sum(x^2)": (lambda x: x / (x * x).sum(-1, keepdim=True), (X,)),
    "log(sum(x))": (lambda x: torch.log(x.abs().sum(-1)), (X,)),
    "1 - x": (lambda x: 1 - x, (X,)),
    "0.9 - cos": (lambda x: 0.9 - torch.cos(x), (X,)),
    "cumsum of exp": (lambda x: x.exp().cumsum(-1), (X,)),
    "product of logs": (lambda p: torch.log(p + 1.5) * torch.log(p + 2.5), (P,)),
    "residual": (lambda x: x + torch.tanh(x), (X,)),
    "gate": (lambda x, y: torch.sigmoid(x) * y + (x.tanh()), (X, P)),
    "where of plain branches": (lambda x: torch.where(x > 0, x, 0.1 * x), (X,)),
    "exp without gradient": (lambda x: torch.where(x > 0, torch.log(x.detach()), 0.0), (X,)),
    "masked finitely": (lambda x, m: F.softmax(x.masked_fill(m, -1e9), -1), (X, M)),
    "sum in float32": (lambda x: (x * x).sum(), (X,)),
    "no-grad softmax used with gradient": (lambda x: math.e * x.softmax(-1), (X,)),
}
