"""More expressions, written without a look at the rules and first measured when those had been written."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

from tests.backend.stability.unstable import ROWS, Unstable

SOME = [[0.5, 1.5, -120.0], [3.0, 2.0, 1.0], [400.0, -500.0, 0.25], [-95.0, -100.0, -104.0]]
OTHERS = [[0.1, 0.2, -5.0], [3.5, 2.5, -150.0], [1.0, 0.25, 0.5], [-1.0, 1.0, 2.0]]
ONE_HOT = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
LOGITS = [-800.0, -120.0, -18.0, -2.0, 0.0, 0.6, 17.0, 33.0, 89.0, 900.0]
TARGETS = [0.0, 1.0] * 5
VECTORS = [[3e24, 4e24, 1e23], [3e-24, 4e-24, 1e-24], [1.0, -2.0, 2.0]]


def _normalised_by_einsum(x):
    e = torch.exp(x * 0.5)
    return e / torch.einsum("ij->i", e)[:, None]


def _reciprocal(x):
    e = torch.exp(x)
    return e * (1.0 / e.sum(-1)).unsqueeze(-1)


def _weighted(x, w):
    return torch.exp(x) * w / (torch.exp(x) * w).sum(-1, keepdim=True)


def _mixture_of_gaussians(x, mean, weight):
    p = weight * torch.exp(-0.5 * (x - mean) ** 2) / math.sqrt(2 * math.pi)
    return torch.log(p.sum(-1))


def _focal_where(x, y):
    p = torch.sigmoid(x)
    pt = torch.where(y > 0.5, p, 1 - p)
    return -0.25 * (1 - pt) ** 2 * torch.log(pt)


def _focal_soft(x, y):
    p = torch.sigmoid(x)
    pt = p * y + (1 - p) * (1 - y)
    return -0.25 * (1 - pt).pow(2.0) * pt.log()


def _focal_of_classes(x, y):
    pt = (torch.softmax(x, 1) * y).sum(1)
    return -((1 - pt) ** 2) * torch.log(pt)


def _two_steps(a, b):
    s = torch.log(torch.exp(a) + torch.exp(b))
    return torch.log(torch.exp(s) + torch.exp(a - 1.0))


def _one_of_three(a, b, c):
    ea, eb, ec = torch.exp(a), torch.exp(b), torch.exp(c)
    return ea / (ea + eb + ec)


def _expected(x, v):
    w = torch.exp(x)
    return (w * v).sum(-1) / w.sum(-1)


def _entropy_by_energy(x):
    e = torch.exp(x)
    z = e.sum(-1)
    return torch.log(z) - (x * e).sum(-1) / z


LATER = [
    Unstable("softmax by einsum", _normalised_by_einsum, (SOME,)),
    Unstable("softmax by a reciprocal", _reciprocal, (ROWS,)),
    Unstable("softmax under a mask", _weighted, (ROWS, ONE_HOT), trained=(0,)),
    Unstable("log of one chosen", lambda x, y: torch.log((torch.softmax(x, -1) * y).sum(-1)), (ROWS, ONE_HOT)),
    Unstable("log of a masked sum", lambda x, y: torch.log((torch.exp(x) * y).sum(-1)), (ROWS, ONE_HOT), trained=(0,)),
    Unstable(
        "mixture of gaussians",
        _mixture_of_gaussians,
        ([[120.0], [-3.0], [0.5]], [[0.0, 1.0, -2.0]], [[0.2, 0.3, 0.5]]),
        trained=(0, 1),
    ),
    Unstable("focal, chosen", _focal_where, (LOGITS, TARGETS), trained=(0,)),
    Unstable("focal, mixed", _focal_soft, (LOGITS, TARGETS), trained=(0,)),
    Unstable("focal of classes", _focal_of_classes, (ROWS, ONE_HOT), trained=(0,)),
    Unstable("recursion of two steps", _two_steps, ([-500.0, -2.0, -700.0], [-501.0, -1.0, -1.0])),
    Unstable(
        "forward step",
        lambda a, t: torch.log(torch.matmul(a.exp(), t.exp())),
        ([[-900.0, -901.0], [0.0, -3.0]], [[-1.0, -0.5], [-2.0, -0.25]]),
    ),
    Unstable("expected likelihood", lambda x, w: torch.log(torch.exp(x) @ w), (SOME, [0.2, 0.3, 0.5])),
    Unstable("one of three", _one_of_three, ([300.0, 1.0], [299.0, 5.0], [-300.0, 2.0])),
    Unstable("expected value", _expected, (SOME, [1.0, 2.0, 3.0])),
    Unstable("entropy by energy", _entropy_by_energy, (SOME,)),
    Unstable("ratio of likelihoods", lambda a, b: torch.exp(a) / torch.exp(b), ([-300.0, 300.5], [-300.5, 299.0])),
    Unstable("norm by einsum", lambda x: torch.sqrt(torch.einsum("bi,bi->b", x, x)), (VECTORS,)),
    Unstable(
        "log of a quotient",
        lambda a, b: torch.log(a / b),
        ([1e30, 1e-30, 2.0, -1e30, 1.0000001, -3.0], [1e-30, 1e30, 3.0, -1e-30, 1.0, -2.9999]),
    ),
    Unstable("log of a product", lambda a, b: torch.log(a * b), ([1e30, 1e-30, 2.0], [1e25, 1e-28, 3.0])),
    Unstable(
        "ratio of products",
        lambda a, b, c, d: torch.log((a * b) / (c * d)),
        ([1e-20, 0.5, 1e25], [1e-25, 0.25, 1e20], [1e-30, 2.0, 1e30], [1e-18, 3.0, 1e28]),
    ),
    Unstable("odds", lambda x: torch.sigmoid(x) / (1 - torch.sigmoid(x)), ([-80.0, -5.0, 0.0, 17.0, 80.0],)),
    Unstable("log of a square", lambda x: torch.log(x**2), ([1e30, -1e-30, 2.0],)),
    Unstable(
        "discriminator",
        lambda real, fake: -(torch.log(torch.sigmoid(real)) + torch.log(1 - torch.sigmoid(fake))).mean(),
        (LOGITS, LOGITS[::-1]),
    ),
    Unstable(
        "label smoothing",
        lambda x, y: -((y * 0.9 + 0.1 / 3) * x.softmax(-1).log()).sum(-1),
        (SOME, ONE_HOT),
        trained=(0,),
    ),
    Unstable(
        "reverse divergence",
        lambda x, y: (torch.softmax(y, -1) * (torch.softmax(y, -1).log() - x.softmax(-1).log())).sum(-1),
        (SOME, OTHERS),
        gradient=False,
    ),
    Unstable("smoothed maximum", lambda x: torch.log(torch.sum(torch.exp(2.0 * x), dim=-1)) / 2.0, (SOME,)),
]

X = torch.tensor([[0.3, -1.2, 2.0, 0.7], [1.1, 0.4, -0.6, -2.0], [0.2, 0.9, 1.4, -0.1]])
A, P = X.abs() + 0.2, X.softmax(-1)
UNIT = torch.linspace(0.1, 0.9, 7)


def _two_difference(a, b):
    s = a - b
    v = s - a
    return s, (a - (s - v)) - (b + v)


def _kahan_of_squares(x):
    total, c = torch.zeros(3), torch.zeros(3)
    for column in x.unbind(1):
        y = column * column - c
        t = total + y
        c = (t - total) - y
        total = t
    return torch.sqrt(total + 1.0)


def _klein(x):
    s, first, second = torch.zeros(3), torch.zeros(3), torch.zeros(3)
    for v in x.unbind(1):
        t = s + v
        c = torch.where(s.abs() > v.abs(), (s - t) + v, (v - t) + s)
        s, t = t, first + c
        second = second + torch.where(first.abs() > c.abs(), (first - t) + c, (c - t) + first)
        first = t
    return s + first + second


def _online_softmax(x):
    a, b = x.chunk(2, -1)
    m1 = a.amax(-1, keepdim=True)
    m = torch.maximum(m1, b.amax(-1, keepdim=True))
    total = torch.exp(a - m1).sum(-1, keepdim=True) * torch.exp(m1 - m) + torch.exp(b - m).sum(-1, keepdim=True)
    return torch.cat([torch.exp(a - m), torch.exp(b - m)], -1) / total


def _log_add_exp(a, b):
    m = torch.maximum(a, b)
    return m + torch.log(torch.exp(a - m) + torch.exp(b - m))


def _bce_with_eps(x, y):
    p = torch.sigmoid(x)
    return -(y * torch.log(p + 1e-7) + (1 - y) * torch.log(1 - p + 1e-7))


def _logit_of_clamped(p):
    p = p.clamp(1e-4, 1 - 1e-4)
    return torch.log(p) - torch.log(1 - p), torch.log(p / (1 - p))


def _shifted_variance(x):
    d = x - x[:, :1]
    return (d * d).mean(-1) - d.mean(-1) ** 2


def _causal(x):
    scores = x @ x.T
    return torch.softmax(scores.masked_fill(torch.triu(torch.ones(3, 3, dtype=torch.bool), 1), -math.inf), -1)


LATER_UNTOUCHED: dict[str, Any] = {
    "two difference": (_two_difference, (X, A)),
    "kahan of squares": (_kahan_of_squares, (X,)),
    "klein": (_klein, (X,)),
    "online softmax": (_online_softmax, (X,)),
    "log add exp by the larger": (_log_add_exp, (X, A)),
    "bce with an eps each": (_bce_with_eps, (X, P)),
    "logit of a clamped probability": (_logit_of_clamped, (UNIT,)),
    "shifted variance": (_shifted_variance, (X,)),
    "causal attention": (_causal, (X,)),
    "squashed action": (lambda u: torch.log(1 - torch.tanh(u) ** 2 + 1e-6), (X,)),
    "gelu by tanh": (lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3))), (X,)),
    "gelu by erf": (lambda x: x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0))), (X,)),
    "log of a ratio with eps": (lambda p, q: torch.log((p + 1e-6) / (q + 1e-6)), (P, A)),
    "detached denominator": (lambda x: torch.exp(x) / torch.exp(x).sum(-1, keepdim=True).detach(), (X,)),
    "detached mean": (lambda x: (x**2).mean(-1) - x.mean(-1).detach() ** 2, (X,)),
    "straight through": (lambda x: x + (torch.round(x) - x).detach(), (X,)),
    "of detached": (lambda x: torch.exp(F.log_softmax(x, -1) - F.log_softmax(x, -1).detach()), (X,)),
    "finite difference": (lambda x: (torch.exp(x + 1e-2) - torch.exp(x)) / 1e-2, (X,)),
    "moments of two": (lambda x, y: (x**2).mean(-1) - y.mean(-1) ** 2, (X, A)),
    "adam": (lambda p, m, v: p - 1e-3 * m / (torch.sqrt(v) + 1e-8), (X, X, A)),
    "cosine schedule": (lambda t: 0.5 * (1 + torch.cos(math.pi * t)), (UNIT,)),
    "fraction": (lambda x: x - torch.floor(x), (X,)),
}
