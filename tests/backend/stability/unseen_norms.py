"""Variances, norms, determinants, inverse hyperbolic functions, where, by somebody who had not seen the rules."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.unstable import Unstable

VAST = [[3e21, -4e21, 1.2e22], [2e-22, 1e-22, -2e-22], [0.5, -1.5, 2.0]]
VAST2 = [[-1e22, 2e21, 2e21], [-1e-22, 3e-22, 2e-22], [2.0, 1.0, 0.25]]
LEVEL = [[8192.5, 8193.0, 8191.25, 8194.0], [-4000.0, -4001.5, -4000.25, -3999.75]]  # whose means are floats
LEVEL2 = [[2000.25, 2001.0, 1999.0, 2003.5], [9000.0, 8999.0, 8998.5, 9001.0]]
SMALL = [-3e-5, -2e-6, 4e-7, 1e-6, 5e-6, 2e-5, 9e-5]


class BatchMoments(nn.Module):
    def forward(self, x):
        n = x.shape[1]
        s1 = x.sum(dim=1, keepdim=True)
        s2 = x.square().sum(dim=1, keepdim=True)
        return (s2 - s1 * s1 / n) / (n - 1)


def covariance(x, y):
    return (x * y).mean(-1) - x.mean(-1) * y.mean(-1)


def weighted_variance(x, w):
    total = w.sum(-1)
    mu = (w * x).sum(-1) / total
    return (w * x * x).sum(-1) / total - mu**2


def slope(x, y):
    n = x.size(-1)
    sx, sy = x.sum(-1), y.sum(-1)
    return (n * (x * y).sum(-1) - sx * sy) / (n * (x * x).sum(-1) - sx**2)


def standardise(x):
    mu = x.mean(-1, keepdim=True)
    sd = torch.sqrt((x**2).mean(-1, keepdim=True) - mu**2)
    return (x - mu) / sd


def rms(x):
    return x.square().mean(dim=-1).sqrt()


def direction(dx, dy):
    r = torch.sqrt(dx * dx + dy * dy)
    return dx / r + 2 * dy / r


def distance(x, y):
    return torch.sqrt(((x - y) ** 2).sum(dim=-1))


def safe_unit(v):
    return v / (torch.sqrt(torch.sum(v * v, dim=-1, keepdim=True)) + 1e-6)


def gradient_penalty(g):
    norms = g.reshape(3, -1).pow(2).sum(1).sqrt()
    return ((norms - 1) ** 2).mean()


def triplet(a, p, n):
    d_ap = (a - p).pow(2).sum(1).pow(0.5)
    d_an = (a - n).pow(2).sum(1).pow(0.5)
    return F.relu(d_ap - d_an + 1.0)


def clip_by_norm(g):
    total = torch.sqrt(sum((one**2).sum() for one in g.unbind(0)))
    return g * (1.0 / total)


def similarity_matrix(a, b):
    dots = a @ b.t()
    na = torch.sqrt(torch.sum(a**2, -1))
    nb = torch.sqrt(torch.sum(b**2, -1))
    return dots / (na[:, None] * nb[None, :])


def cosine_one_root(a, b):
    return (a * b).sum(1) / torch.sqrt((a * a).sum(1) * (b * b).sum(1))


def cosine_clamped(a, b):
    num = torch.sum(a * b, dim=-1)
    den = (a.pow(2).sum(-1).sqrt() * b.pow(2).sum(-1).sqrt()).clamp(min=1e-8)
    return 1 - num / den


def cox_partial(risk, event):
    at_risk = torch.flip(torch.cumsum(torch.flip(torch.exp(risk), [0]), 0), [0])
    return -((risk - torch.log(at_risk)) * event).sum()


def list_mle(s):
    return (s.exp().cumsum(dim=-1).log() - s).sum(-1)


def gaussian_entropy(cov):
    return 0.5 * torch.log(torch.det(2 * math.pi * math.e * cov))


def log_abs_det(m):
    return torch.linalg.det(m).abs().log()


def log_det_of_cholesky(chol):
    return 2 * torch.log(torch.prod(torch.diagonal(chol)))


def poincare_atanh(r):
    return torch.log((1 + r) / (1 - r))


def asinh_scaled(flux):
    return torch.log((flux + torch.sqrt(flux**2 + 4)) / 2)


def geometric_mean(x):
    return torch.pow(torch.prod(x, dim=-1), 1 / 4)


def geometric_mean_of_three(a, b, c):
    return (a * b * c) ** (1.0 / 3.0)


def where_ratio(a, b):
    return torch.where(b > 0, a / b, torch.zeros_like(a))


def where_root(x):
    return torch.where(x > 0, torch.sqrt(x), x * 0.25)


def where_sinc(x):
    return torch.where(x.abs() < 1e-3, 1 - x * x / 6, torch.sin(x) / x)


def elu_by_hand(x):
    return torch.where(x > 0, x, 1.5 * (torch.exp(x) - 1))


def masked_log_mean(p, m):
    logs = p.log().masked_fill(m == 0, 0.0)
    return logs.sum(-1) / m.sum(-1)


NORMS = [
    Unstable("variance: sums in a module", BatchMoments(), (LEVEL,)),
    Unstable("variance: covariance", covariance, (LEVEL, LEVEL2)),
    Unstable("variance: weighted", weighted_variance, (LEVEL, [1.0, 2.0, 0.5, 0.5]), trained=(0,)),
    Unstable("variance: regression slope", slope, (LEVEL, LEVEL2)),
    Unstable("variance: standardise", standardise, (LEVEL,)),
    Unstable("norm: root mean square", rms, (VAST,)),
    Unstable("norm: direction", direction, ([3e22, 4e-24, 3.0], [-4e22, 3e-24, 4.0])),
    Unstable(
        "norm: distance with equal points",
        distance,
        ([[1.0, 2.0], [3e25, 0.0], [0.5, 0.25]], [[1.0, 2.0], [0.0, 4e25], [0.25, 0.5]]),
    ),
    Unstable("norm: safe unit at zero", safe_unit, ([[0.0, 0.0], [3e22, -4e22], [3.0, 4.0]],)),
    Unstable("norm: gradient penalty at zero", gradient_penalty, ([[[0.0, 0.0]], [[3.0, 4.0]], [[-0.5, 1.0]]],)),
    Unstable(
        "norm: triplet of equals",
        triplet,
        ([[1.0, 2.0], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.5], [0.5, 1.0]]),
    ),
    Unstable("norm: global clip", clip_by_norm, ([[1e20, -2e20], [2e21, 3e20]],)),
    Unstable("cosine: matrix", similarity_matrix, (VAST, VAST2)),
    Unstable(
        "cosine: one root",
        cosine_one_root,
        ([[3e12, -4e12], [3e-12, 4e-13], [1.0, 2.0]], [[1e12, 2e12], [-1e-12, 2e-12], [2.0, 0.5]]),
    ),
    Unstable(
        "cosine: clamped distance",
        cosine_clamped,
        ([[3e21, -4e21], [0.0, 0.0], [1.0, 2.0]], [[1e22, 2e22], [1.0, 3.0], [-2.0, 0.5]]),
    ),
    Unstable(
        "hypot: modulus of a pair",
        lambda z: (z[..., 0] ** 2 + z[..., 1] ** 2).sqrt(),
        ([[3e20, 4e20], [0.0, 0.0], [3e-23, -4e-23], [1.0, -1.0]],),
    ),
    Unstable("hypot: leg", lambda c, a: torch.sqrt(c**2 - a**2), ([5e20, 4096.125, 3e-22], [3e20, 4096.0, 1e-22])),
    Unstable(
        "logcumsumexp: Cox",
        cox_partial,
        ([120.0, -3.0, 100.0, -200.0, 95.0, -203.0], [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]),
        trained=(0,),
    ),
    Unstable("logcumsumexp: ListMLE", list_mle, ([[-110.0, -120.0, 1.0, 150.0], [92.0, 93.0, 2.0, -1.0]],)),
    Unstable(
        "logdet: gaussian entropy",
        gaussian_entropy,
        (
            [
                [[3e14, 1e14, 0.0], [1e14, 2e14, 5e13], [0.0, 5e13, 4e14]],
                [[2e-15, 1e-16, 0.0], [1e-16, 1e-15, 0.0], [0.0, 0.0, 3e-15]],
            ],
        ),
    ),
    Unstable("logdet: flow", log_abs_det, ([[2e13, 1e13, -1e12], [0.0, -3e13, 1e13], [1e13, 0.0, 1e13]],)),
    Unstable("logdet: of Cholesky", log_det_of_cholesky, ([[1e15, 0.0, 0.0], [1.0, 2e14, 0.0], [3.0, 1.0, 4e13]],)),
    Unstable("atanh: Poincare", poincare_atanh, (SMALL,)),
    Unstable(
        "atanh: difference of logs",
        lambda x: 0.5 * (torch.log(1 + x) - torch.log(1 - x)),
        ([-0.0009765625, 3e-6, 2e-5, 4e-4],),
    ),
    Unstable("asinh: flux", asinh_scaled, ([-3e20, -5e4, -30.0, -1e-6, 0.0, 2e-5, 7.0, 4e20],)),
    Unstable(
        "acosh: by hand near one",
        lambda x: torch.log(x + torch.sqrt(x * x - 1)),
        ([1.000000119, 1.0001, 1.5, 30.0, 2e20],),
    ),
    Unstable("geometric mean: four", geometric_mean, ([[1e-12, 3e-13, 2e-11, 5e-12], [4e11, 1e10, 3e12, 2e10]],)),
    Unstable(
        "geometric mean: three factors",
        geometric_mean_of_three,
        ([1e-20, 2e15, 3.0], [3e-18, 4e16, 0.5], [2e-9, 1e14, 4.0]),
    ),
    Unstable("gumbel: minimum", lambda u: torch.log(-torch.log(1 - u)), ([1e-9, 3e-8, 1e-5, 0.25, 0.9999999],)),
    Unstable("where: guarded quotient", where_ratio, ([1.0, 2.0, -3.0, 0.0], [0.0, 4.0, -2.0, 0.0]), trained=(0,)),
    Unstable("where: guarded root", where_root, ([-4.0, -0.25, 2.0, 9.0],)),
    Unstable("where: sinc", where_sinc, ([0.0, 1e-5, 0.5, -2.0],)),
    Unstable("where: ELU by hand", elu_by_hand, ([300.0, 95.0, -1e-6, -3e-5, 1e-3],)),
    Unstable(
        "where: masked log mean",
        masked_log_mean,
        ([[0.5, 0.0, 0.25], [1e-3, 0.75, 0.0]], [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]),
        trained=(0,),
    ),
]
