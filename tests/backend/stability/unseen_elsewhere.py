"""Beside the families that the issue names: formulas of statistics, physics and losses; and half precision.

By the hand of ``unseen_families``, in the same spellings; the same two halves.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.collected import Rows

ROWS = row = Rows()
LOW = ROWS.low
HALF, BRAIN = torch.float16, torch.bfloat16


# --- statistics -------------------------------------------------------------------------------------------------------
@row("sigmoid: of an interval far out", [25.0, 26.0, 24.5], [24.0, 25.5, 24.0])
def _(upper, lower):
    return torch.sigmoid(upper) - torch.sigmoid(lower)


@row("normal: upper tail", [4.0, 7.0, 11.0, -1.0])
def _(x):
    return 1 - 0.5 * (1 + torch.erf(x / math.sqrt(2)))


@row("normal: log of its distribution function", [-15.0, -7.0, 1.0])
def _(x):
    return torch.log(0.5 * (1 + torch.erf(x / 2**0.5)))


@row("normal: log of its density", [[20.0, -30.0, 1.0]])
def _(z):
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return torch.log(density)


@row(
    "mixture: log-likelihood",
    [40.0, -3.0, 0.5],
    [0.0, 4.0],
    [0.5, 1.5],
    [0.25, 0.75],
)
def _(x, mean, scale, weight):
    z = (x[:, None] - mean) / scale
    density = torch.exp(-0.5 * z * z) / (scale * math.sqrt(2 * math.pi))
    return torch.log((weight * density).sum(1))


@row("mixture: responsibilities", [60.0, -30.0, 0.5], [0.0, 4.0, -2.0])
def _(x, mean):
    likelihood = torch.exp(-0.5 * (x[:, None] - mean[None]) ** 2)
    return likelihood / likelihood.sum(dim=1, keepdim=True)


@row("logit: of a sigmoid", [30.0, -50.0, 0.5, 120.0])
def _(x):
    p = torch.sigmoid(x)
    return torch.log(p / (1 - p))


@row("student: log of its kernel", [1e-4, 3e-5, 2.0], [5.0, 3.0, 4.0])
def _(t, nu):
    return -(nu + 1) / 2 * torch.log(1 + t**2 / nu)


@row("noisy or", [[1e-5, 3e-6, 2e-7], [1e-7, 1e-6, 5e-6]])
def _(p):
    return 1 - torch.prod(1 - p, dim=-1)


@row("at least one of n", [1e-7, 2e-6, 0.01])
def _(p):
    return 1 - (1 - p) ** 16


@row("weibull: distribution function", [1e-3, 0.02, 2.0], [2.0, 3.0, 1.5])
def _(x, k):
    return 1 - torch.exp(-(x**k))


@row("poisson: likelihood", [90.0, 3.0, 120.0], [100.0, 2.5, 80.0], trained=(1,))
def _(k, rate):
    return rate**k * torch.exp(-rate) / torch.exp(torch.lgamma(k + 1))


@row("gaussians: KL of near ones", [1.0, 0.5, 2.0], [1.001, 0.5002, 1.998], [0.0, 1.0, -1.0], [0.0005, 1.0002, -1.001])
def _(s1, s2, m1, m2):
    return torch.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5


@row("renyi: divergence of order two", [[80.0, 1.0, 0.0], [-90.0, 0.5, 2.0]], [[1.0, 60.0, 3.0], [20.0, -70.0, 1.0]])
def _(x, y):
    p, q = x.softmax(-1), y.softmax(-1)
    return torch.log((p**2 / q).sum(-1))


@row("softmax: margin over the rest", [[30.0, 1.0, -2.0], [32.0, 3.0, 1.0]])
def _(x):
    p = F.softmax(x, dim=-1)
    return 1 - p[:, 0]


@row("elo: expected score", [3000.0, 50000.0, 100.0], [1000.0, 200.0, 90000.0])
def _(a, b):
    return 1 / (1 + 10 ** ((b - a) / 400))


# --- algebra and geometry ---------------------------------------------------------------------------------------------
@row("roots: difference", [1e7, 3e8, 2.0])
def _(x):
    return torch.sqrt(x + 1) - torch.sqrt(x)


@row("reciprocals: difference", [1e5, 2e5, 0.5e5])
def _(x):
    return 1 / x - 1 / (x + 1)


@row("quadratic: the small root", [1.0, 2.0, 0.5], [1e4, 3e5, 3.0], [1.0, -3.0, 2.0])
def _(a, b, c):
    return (-b + torch.sqrt(b * b - 4 * a * c)) / (2 * a)


@row("cosine: one less it, over the square", [1e-4, 2e-5, 1.0])
def _(x):
    return (1 - x.cos()) / x.pow(2)


@row("ratio of squares", [2e25, 3e-25, 1.0], [1e25, 4e-25, 3.0])
def _(a, b):
    return a**2 / (a**2 + b**2)


@row("log of a quotient", [1e30, 2e-30, 3.0], [1e-20, 3e15, 2.0])
def _(a, b):
    return torch.log(a / b)


@row("exponentials: quotient", [150.0, -130.0, 2.0], [148.0, -131.0, 1.0])
def _(a, b):
    return torch.exp(a) / torch.exp(b)


@row("pairwise distances by the kernel trick", [[10.0, 20.0], [30.0, -10.0]], [[10.01, 20.02], [30.0, -9.99]])
def _(x, y):
    d2 = x.pow(2).sum(1)[:, None] + y.pow(2).sum(1)[None, :] - 2 * x @ y.T
    return d2.sqrt()


@row("angle of nearly parallel vectors", [[1.0, 2.0, 3.0], [1.0, 0.0, 0.5]], [[1.001, 2.0, 3.001], [1.0, 0.001, 0.5]])
def _(a, b):
    cos = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))
    return torch.acos(cos)


# --- physics ----------------------------------------------------------------------------------------------------------
@row("planck's law", [1e-5, 1e-3, 1.0, 120.0])
def _(x):
    return x**3 / (torch.exp(x) - 1)


@row("bose-einstein", [1e-5, 120.0, 2.0], [1e-6, 1.0, 0.5])
def _(e, mu):
    return 1 / (torch.exp(e - mu) - 1)


@row("langevin", [1e-3, 0.01, 100.0, 2.0])
def _(x):
    return torch.cosh(x) / torch.sinh(x) - 1 / x


@row("lorentz: kinetic energy", [1e-4, 3e-3, 0.5])
def _(beta):
    return 1 / torch.sqrt(1 - beta**2) - 1


@row("power in decibels of a complex amplitude", [1e-25, 3e22, 1.0], [2e-25, -4e22, 0.5])
def _(re, im):
    return 20 * torch.log10(torch.sqrt(re**2 + im**2))


@row("sinh over x", [1e-5, -3e-4, 2.0])
def _(x):
    return (torch.exp(x) - torch.exp(-x)) / (2 * x)


# --- losses -----------------------------------------------------------------------------------------------------------
@row("triplet: soft margin", [120.0, 3.0, -150.0], [1.0, 2.5, 10.0])
def _(positive, negative):
    return torch.log(1 + torch.exp(positive - negative)).mean()


@row("DPO", [-300.0, -2.0, -10.0], [-100.0, -3.0, -400.0], trained=(0, 1))
def _(chosen, rejected):
    beta = 0.5
    return -torch.log(F.sigmoid(beta * (chosen - rejected))).mean()


@row("SigLIP", [[9.0, -6.0], [7.0, 8.0]], [[1.0, -1.0], [-1.0, 1.0]], trained=(0,))
class SigLIP(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.bias = 20.0, -10.0

    def forward(self, similarity, sign):
        return -torch.log(torch.sigmoid(sign * (similarity * self.scale + self.bias)))


@row("lifted structure", [[0.5, 90.0, 3.0], [100.0, 0.25, -3.0]], [[100.0, 2.0, 3.0], [1.0, 0.5, 120.0]])
def _(near, far):
    return torch.log(torch.exp(near).sum(1) + torch.exp(far).sum(1))


@row("label smoothing from probabilities", [[120.0, 0.0, -3.0], [2.0, -150.0, 1.0]], [0, 2])
def _(x, y):
    log_p = torch.log(torch.softmax(x, dim=-1))
    nll = -log_p.gather(-1, y[:, None]).squeeze(-1)
    return (0.9 * nll - 0.1 * log_p.mean(-1)).mean()


@row("circle loss", [[-60.0, 3.0], [1.0, -50.0]], [[70.0, -2.0], [0.25, 65.0]])
def _(positive, negative):
    return torch.log(1 + torch.exp(negative).sum(-1) * torch.exp(-positive).sum(-1))


# --- half precision ---------------------------------------------------------------------------------------------------
@row("fp16: mean square", [[300.0, 280.0, 12.0], [250.0, -260.0, 255.0]], dtype=HALF)
def _(x):
    return x.pow(2).mean(-1).sqrt()


@row("fp16: RMS norm by hand", [[300.0, -280.0, 12.0], [400.0, 260.0, 255.0]], dtype=HALF)
class HalfRMSNorm(nn.Module):
    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-5)


@row("fp16: softmax", [[14.0, 13.0, 2.0], [-20.0, -19.0, -21.0]], dtype=HALF)
def _(x):
    return x.exp() / x.exp().sum(-1, keepdim=True)


@row("fp16: log-sum-exp", [[14.0, 13.0, 2.0], [-20.0, -19.0, -21.0]], dtype=HALF)
def _(x):
    return torch.exp(x).sum(-1).log()


@row("fp16: euclidean distance", [[300.0, 5.0], [2.0, -400.0]], [[10.0, 2.0], [1.0, 3.0]], dtype=HALF)
def _(a, b):
    return torch.sqrt(((a - b) ** 2).sum(-1))


@row("fp16: cosine of large vectors", [[300.0, -200.0, 5.0]], [[250.0, 210.0, 100.0]], dtype=HALF)
def _(a, b):
    return torch.sum(a * b, dim=-1) / (a.norm(dim=-1) * b.norm(dim=-1))


@row("fp16: variance", [[100.0, 100.5, 99.0, 101.0], [1.0, 2.0, 3.0, 4.5]], dtype=HALF)
def _(x):
    return (x * x).mean(-1) - x.mean(-1) * x.mean(-1)


@row("fp16: standardised", [[300.0, 302.0, -12.0, 800.0], [1.0, 2.0, 3.0, 4.5]], dtype=HALF)
def _(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-3)


@row("fp16: mean squared error", [300.0, 5.0, -200.0], [10.0, 2.0, 100.0], dtype=HALF)
def _(a, b):
    return ((a - b) ** 2).mean() / 1000


@row("fp16: log-sigmoid", [-30.0, -18.0, 3.0], dtype=HALF)
def _(x):
    return torch.log(torch.sigmoid(x))


@row("fp16: BCE on a sigmoid", [15.0, -20.0, 0.5], [0.0, 1.0, 1.0], dtype=HALF, trained=(0,))
def _(x, y):
    p = torch.sigmoid(x)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


@row("fp16: softplus", [20.0, 12.0, -3.0], dtype=HALF)
def _(x):
    return torch.log(1 + torch.exp(x))


@row("fp16: geometric mean", [[300.0, 200.0, 500.0], [0.001, 0.002, 0.0005]], dtype=HALF)
def _(x):
    return x.prod(dim=-1) ** (1 / 3)


@row("fp16: running total", [2048.0] + [1.0] * 40, dtype=HALF)
def _(x):
    total = x[0]
    for i in range(1, x.shape[0]):
        total = total + x[i]
    return total


@row("bf16: log(1 + x)", [1e-3, 2e-4, -5e-4], dtype=BRAIN)
def _(x):
    return torch.log(1 + x)


@row("bf16: exp(x) - 1", [1e-3, 2e-4, -5e-4], dtype=BRAIN)
def _(x):
    return torch.exp(x) - 1


@row("bf16: 1 - sigmoid", [6.0, 9.0, -1.0], dtype=BRAIN)
def _(x):
    return 1 - torch.sigmoid(x)


@row("bf16: entropy", [[3.0, 0.5, -1.0], [120.0, 0.0, 90.0]], dtype=BRAIN)
def _(x):
    p = F.softmax(x, dim=-1)
    return -(p * p.log()).sum(dim=-1)


@row("bf16: variance", [[50.0, 50.5, 49.0, 51.0], [1.0, 2.0, 3.0, 4.5]], dtype=BRAIN)
def _(x):
    return x.square().mean(-1) - x.mean(-1).square()


@row("bf16: sum of many", [[256.0] + [1.0] * 40], dtype=BRAIN)
def _(x):
    total = torch.zeros_like(x[:, 0])
    for one in x.unbind(1):
        total = total + one
    return total


@row("bf16: cosine similarity less one", [[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.25]], dtype=BRAIN)
def _(a, b):
    return 1 - (a * b).sum(-1) / torch.sqrt((a * a).sum(-1) * (b * b).sum(-1))
