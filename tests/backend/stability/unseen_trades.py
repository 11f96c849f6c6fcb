"""Unstable expressions from many trades, by the hand of ``unseen_trades_left``.

Torch alone is wrong for each, in value or gradient, by much more than another rounding of the inputs would explain.
"""

from __future__ import annotations

import math

import torch

from tests.backend.stability.collected import Rows

ROWS = row = Rows("trade: ")

RATES = [1e-7, 3e-6, 2e-4, 0.04]
LOGITS = [[-120.0, 40.0, 110.0, 3.0], [-200.0, -203.0, -190.0, -201.0], [0.25, 1.0, -0.5, 0.0]]
OTHER = [[99.0, 100.0, -2.0, 5.0], [-160.0, -159.0, -162.5, -158.0], [0.5, 0.75, -1.0, 2.0]]
SCORES = [-140.0, -30.0, -2.0, 0.5, 21.0, 105.0]
NEAR0 = [-3e-3, 2e-8, -4e-6, 1e-4, 0.02]
POSITIVE = [3e-9, 2e-6, 5e-4, 0.1, 2.0]
CHOSEN = torch.tensor([1, 2, 0])


@row("annuity of a small rate", RATES)
def _(r):
    return (1 - (1 + r) ** -360) / r


@row("growth of a small rate", RATES)
def _(r):
    return (1 + r) ** 12 - 1


@row("monthly rate of a yearly one", RATES)
def _(r):
    return torch.pow(1 + r, 1 / 12) - 1


@row("relativistic kinetic energy", [1e-5, 3e-4, 2e-3, 0.3])
def _(v):
    return 1 / torch.sqrt(1 - v * v) - 1


@row("Bose-Einstein occupation", POSITIVE)
def _(x):
    return 1 / (torch.exp(x) - 1)


@row("Einstein's heat capacity", POSITIVE)
def _(x):
    e = torch.exp(x)
    return x**2 * e / (e - 1) ** 2


@row("Fermi-Dirac occupation", SCORES, 0.5)
def _(energy, potential):
    return 1 / (torch.exp((energy - potential) / 0.25) + 1)


@row("Langevin's function", [1e-3, 0.02, 0.3, 2.0])
def _(x):
    return 1 / torch.tanh(x) - 1 / x


@row("softplus in bits", SCORES)
def _(x):
    return torch.log(1 + torch.exp(x)) / math.log(2)


@row("log of a mean of exponentials", LOGITS)
def _(x):
    return x.exp().mean(-1).log()


@row("log of a sum of exponentials beside 1", SCORES, [3.0, -50.0, 1.0, 120.0, 2.0, -90.0])
def _(a, b):
    return torch.log(1 + torch.exp(a) + torch.exp(b))


@row("divergence of two softmaxes", LOGITS, OTHER)
def _(x, y):
    p, q = torch.softmax(x, -1), torch.softmax(y, -1)
    return (p * (torch.log(p) - torch.log(q))).sum(-1)


@row("cross-entropy in bits", LOGITS)
def _(x):
    p = torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)
    return -torch.log2(p[torch.arange(3), CHOSEN])


@row("log-probability of an event before a time", POSITIVE)
def _(t):
    return torch.log(1 - torch.exp(-t))


@row("upper tail of a gaussian, in logarithms", [-8.0, -1.0, 0.0, 3.0, 9.0, 30.0])
def _(x):
    return torch.log(0.5 * torch.erfc(x / math.sqrt(2)))


@row("entropy of a coin of a logit", SCORES)
def _(x):
    p = 1 / (1 + torch.exp(-x))
    return -(p * torch.log(p) + (1 - p) * torch.log(1 - p))


@row("spread by two moments", [[3000.5, 3001.0, 2999.5, 3000.25], [-900.0, -901.5, -900.25, -899.0]])
def _(x):
    return torch.sqrt((x**2).mean(-1) - x.mean(-1) ** 2)


@row("covariance by moments", [[2000.5, 2001.0, 1999.0, 2000.0]], [[-5000.0, -5001.5, -4999.0, -5000.5]])
def _(x, y):
    return (x * y).mean(-1) - x.mean(-1) * y.mean(-1)


@row("arcosh by its formula", [1.0001, 1.01, 1.5, 40.0])
def _(x):
    return torch.log(x + torch.sqrt(x * x - 1))


@row("arsinh by its formula", [-3e4, -2e2, -1e-4, 2e-6, 0.3, 7e3])
def _(x):
    return torch.log(x + torch.sqrt(x * x + 1))


@row("rapidity", [-2e-3, 4e-6, 3e-8, 0.1, 0.9])
def _(v):
    return 0.5 * torch.log((1 + v) / (1 - v))


@row("distance of small angles", NEAR0)
def _(x):
    return 1 - torch.cos(x)


@row("difference of roots", [1e3, 4e5, 7e8, 2.0])
def _(x):
    return torch.sqrt(x + 1) - torch.sqrt(x)


@row("swish by exponentials", SCORES)
def _(x):
    return x * torch.exp(x) / (1 + torch.exp(x))


@row("mish by exponentials", SCORES)
def _(x):
    return x * torch.tanh(torch.log(1 + torch.exp(x)))


@row("hyperbolic tangent by exponentials", SCORES)
def _(x):
    return (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))


@row("mean of discounts", [0.9999, 0.99999, 0.5, 0.98])
def _(g):
    return (1 - g**50) / (1 - g)


@row("Box and Cox's transform of small powers", [0.3, 2.0, 15.0, 700.0], [2e-7, -1e-5, 3e-4, 0.5])
def _(x, power):
    return (x**power - 1) / power


@row("survival of a logistic", SCORES)
def _(x):
    return torch.log(1 - 1 / (1 + torch.exp(-x)))


@row("Gumbel's distribution in logarithms of its tail", [-2.0, 0.5, 6.0, 17.0, 30.0])
def _(x):
    return torch.log(1 - torch.exp(-torch.exp(-x)))


@row("direction of long and short vectors", [[3e22, -4e22, 1e21], [2e-24, 1e-24, -2e-24], [1.0, -2.0, 2.0]])
def _(x):
    return x / torch.sqrt((x * x).sum(-1, keepdim=True))


@row("sinhc", NEAR0)
def _(x):
    return (torch.exp(x) - torch.exp(-x)) / (2 * x)
