"""Losses and formulas of all kinds, by somebody who had not seen the rules."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tests.backend.stability.unstable import Unstable

Z = [-400.0, -95.0, -20.0, -2.5, -0.03125, 0.0, 0.75, 6.0, 19.0, 92.0, 350.0]
BITS01 = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
SMALLER = [1e-8, 3e-8, 2e-7, 6e-7, 2e-6]


def info_nce(q, k):
    sim = q @ k.T * 32.0
    e = torch.exp(sim)
    return -torch.log(torch.diagonal(e) / e.sum(1)).mean()


def clip_loss(a, b):
    logits = 50.0 * (a @ b.t())
    rows = F.softmax(logits, dim=1)
    cols = F.softmax(logits, dim=0)
    i = torch.arange(3)
    return -(torch.log(rows[i, i]) + torch.log(cols[i, i])).mean() / 2


def sup_con(sim, positives):
    e = torch.exp(sim / 0.125)
    per_pair = torch.log(e / e.sum(1, keepdim=True))
    return -(positives * per_pair).sum(1) / positives.sum(1)


def focal(x, y):
    p = torch.sigmoid(x)
    pos = -((1 - p) ** 2) * y * torch.log(p)
    neg = -(p**2) * (1 - y) * torch.log(1 - p)
    return pos + neg


def mdn(y, logits, mu, log_sigma):
    pi = torch.softmax(logits, -1)
    sigma = torch.exp(log_sigma)
    density = torch.exp(-0.5 * ((y[:, None] - mu) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    return -torch.log((pi * density).sum(-1)).mean()


def gaussian_log_pdf(x, mu, sigma):
    pdf = 1 / (sigma * math.sqrt(2 * math.pi)) * torch.exp(-((x - mu) ** 2) / (2 * sigma**2))
    return torch.log(pdf)


def discretised_logistic(x, mean):
    upper = torch.sigmoid(x - mean + 0.5)
    lower = torch.sigmoid(x - mean - 0.5)
    return torch.log(upper - lower)


def cloglog(eta, y):
    p = 1 - torch.exp(-torch.exp(eta))
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))


def zero_inflated_poisson(gate, log_rate):
    pi = torch.sigmoid(gate)
    return -torch.log(pi + (1 - pi) * torch.exp(-torch.exp(log_rate)))


def rbm_free_energy(v, w, b):
    return -torch.log(1 + torch.exp(v @ w + b)).sum(-1)


def sinkhorn_step(cost, v):
    kernel = torch.exp(-cost * 16)
    return -torch.log((kernel * v).sum(1)) / 16


def soft_dtw_cell(a, b, c, gamma=0.25):
    return -gamma * torch.log(torch.exp(-a / gamma) + torch.exp(-b / gamma) + torch.exp(-c / gamma))


def n_pair(anchor, pos, neg):
    return torch.log(1 + torch.exp(anchor @ neg.t() - (anchor * pos).sum(1, keepdim=True)).sum(1))


def multi_similarity(s):
    pull = torch.log(1 + torch.sum(torch.exp(-2.0 * (s - 0.5)), 1)) / 2
    push = torch.log(1 + torch.sum(torch.exp(50.0 * (s - 0.5)), 1)) / 50
    return pull + push


def elo(a, b):
    return torch.log(1 / (1 + 10 ** ((b - a) / 400)))


def responsibilities(x, mu):
    lik = torch.exp(-0.5 * (x[:, None] - mu[None, :]) ** 2)
    return lik / lik.sum(1, keepdim=True)


def naive_bayes(p, prior):
    joint = prior * p.prod(dim=-1)
    return joint / joint.sum()


def product_of_experts(a, b):
    p, q = torch.sigmoid(a), torch.sigmoid(b)
    return torch.log(p * q / (p * q + (1 - p) * (1 - q)))


def ordinal(f, low, high):
    return -torch.log(torch.sigmoid(high - f) - torch.sigmoid(low - f))


def stick_breaking(v):
    stick = torch.sigmoid(v)
    rest = torch.cumprod(1 - stick, dim=-1)
    return torch.log(rest)


def discrete_survival(h):
    hazard = 1 / (1 + torch.exp(-h))
    return -torch.log(hazard[:, -1] * torch.prod(1 - hazard[:, :-1], dim=1))


def ssd_loss(x):
    p = x.softmax(dim=-1)
    return -(1 - p[:, 0]).log().sum()


def unlikelihood(x, y):
    p = torch.gather(F.softmax(x, dim=-1), -1, y[:, None])
    return -torch.log(1 - p).squeeze(-1)


def orpo_odds(chosen, rejected):
    odds = torch.log(torch.exp(chosen) / (1 - torch.exp(chosen))) - torch.log(
        torch.exp(rejected) / (1 - torch.exp(rejected))
    )
    return -torch.log(torch.sigmoid(odds))


def grpo_kl(new, ref):
    delta = ref - new
    return torch.exp(delta) - delta - 1


def gaussian_kl(logvar):
    return -0.5 * (1 + logvar - logvar.exp())


def lognormal_variance(s):
    return (torch.exp(s**2) - 1) * torch.exp(s**2)


def box_cox(x, lam):
    return (x**lam - 1) / lam


def annuity(rate):
    return rate / (1 - (1 + rate) ** -36)


def log_return(now, before):
    return torch.log(now / before)


def lorentz_excess(v):
    return 1 / torch.sqrt(1 - v * v) - 1


def kinetic(p, m):
    return torch.sqrt(p**2 + m**2) - m


def planck(nu):
    return nu**3 / (torch.exp(nu) - 1)


def fermi(e, mu):
    return 1 / (torch.exp((e - mu) * 16) + 1)


def einstein_heat(x):
    e = torch.exp(x)
    return x**2 * e / (e - 1) ** 2


def bernoulli_function(x):
    return x / (torch.exp(x) - 1)


def ghk_flux(v, inside, outside):
    return v * (inside - outside * torch.exp(-v)) / (1 - torch.exp(-v))


def hodgkin_huxley(v):
    return 0.125 * (v + 40) / (1 - torch.exp(-(v + 40) / 8))


def sagitta(radius, chord):
    return radius - torch.sqrt(radius**2 - chord**2)


def quadratic_root(a, b, c):
    return (-b + torch.sqrt(b * b - 4 * a * c)) / (2 * a)


def si_sdr(s, n):
    return 10 * torch.log10((s**2).sum(-1) / (n**2).sum(-1))


def pearson(x, y):
    xc = x - x.mean(-1, keepdim=True)
    yc = y - y.mean(-1, keepdim=True)
    return (xc * yc).sum(-1) / torch.sqrt((xc**2).sum(-1) * (yc**2).sum(-1))


def gem(x):
    return (x**8).mean(-1) ** (1 / 8)


def gravity(d):
    r2 = (d * d).sum(-1, keepdim=True)
    return d / r2**1.5


def squared_distances(x, y):
    return (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * (x @ y.t())


def log_ndtr_by_erf(x):
    return torch.log(0.5 * (1 + torch.erf(x / math.sqrt(2))))


def kumaraswamy(u):
    return 1 - (1 - u) ** (1 / 3)


def swish_by_hand(x):
    return x / (1 + torch.exp(-x))


def tanh_by_hand(x):
    e = torch.exp(2 * x)
    return (e - 1) / (e + 1)


def logistic_density(x):
    e = torch.exp(-x)
    return e / (1 + e) ** 2


def geman_mcclure(x):
    s = x.square()
    return s / (1 + s)


def parallel_resistance(a, b):
    return a * b / (a + b)


def noisy_or_probability(x):
    return torch.log(1 - torch.prod(1 - torch.sigmoid(x), dim=-1))


def langevin(x):
    return torch.cosh(x) / torch.sinh(x) - 1 / x


def ratio_of_products(a, b):
    return a.prod(-1) / b.prod(-1)


def rational_power(x):
    return (x**12) ** 0.25


LOSSES = [
    Unstable(
        "InfoNCE by diagonal",
        info_nce,
        ([[1.0, 2.0], [-3.0, 0.5], [0.25, -1.0]], [[2.0, 1.0], [-1.0, -1.5], [1.0, 0.5]]),
    ),
    Unstable(
        "CLIP both ways", clip_loss, ([[1.0, 2.0], [-3.0, 0.5], [0.25, -1.0]], [[2.0, 1.0], [-1.0, -1.5], [1.0, 0.5]])
    ),
    Unstable(
        "supervised contrastive",
        sup_con,
        ([[12.0, 11.0, -3.0], [-20.0, 1.0, 2.0]], [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
        trained=(0,),
    ),
    Unstable("focal, two sums", focal, (Z, BITS01), trained=(0,)),
    Unstable(
        "mixture density network",
        mdn,
        ([30.0, -2.0], [[1.0, 2.0], [90.0, -90.0]], [[0.0, 1.0], [1.5, -2.0]], [[0.0, 0.5], [-1.0, 0.25]]),
    ),
    Unstable("gaussian log of pdf", gaussian_log_pdf, ([30.0, -3.0, 0.25], [0.0, 1.5, 0.125], [1.5, 0.125, 0.5])),
    Unstable("discretised logistic", discretised_logistic, ([120.0, -40.0, 3.0, 25.0], [0.0, 1.0, 2.5, -5.0])),
    Unstable(
        "complementary log-log", cloglog, ([-25.0, -10.0, -18.0, 2.0, 5.0], [1.0, 0.0, 1.0, 1.0, 0.0]), trained=(0,)
    ),
    Unstable("zero-inflated Poisson", zero_inflated_poisson, ([-110.0, -3.0, 40.0, 2.0], [5.0, 6.0, 1.0, -1.0])),
    Unstable(
        "RBM free energy",
        rbm_free_energy,
        ([[30.0, 2.0], [-40.0, 1.0]], [[4.0, -2.0, 1.0], [1.0, 0.5, -3.0]], [0.5, -1.0, 0.25]),
    ),
    Unstable("Sinkhorn step", sinkhorn_step, ([[9.0, 10.0, 12.0], [-7.0, -6.5, 1.0]], [0.25, 0.5, 0.25])),
    Unstable("soft-DTW cell", soft_dtw_cell, ([30.0, 0.5, -40.0], [31.0, 0.75, -40.25], [29.875, 0.125, -3.0])),
    Unstable("N-pair", n_pair, ([[16.0, 4.0], [1.0, -9.0]], [[-4.0, 1.0], [2.0, -3.0]], [[5.0, 2.0], [-1.0, 6.0]])),
    Unstable("multi-similarity", multi_similarity, ([[4.0, -60.0, 0.5], [0.25, 0.75, -0.5]],)),
    Unstable("Elo", elo, ([1500.0, -20000.0, 2800.0, 40000.0], [1600.0, 400.0, 800.0, 0.0])),
    Unstable("EM responsibilities", responsibilities, ([30.0, -20.0, 0.5], [0.0, 1.0, -0.5])),
    Unstable(
        "naive Bayes",
        naive_bayes,
        ([[1e-14, 2e-15, 3e-13], [2e-15, 5e-14, 1e-13], [1e-14, 1e-14, 2e-14]], [0.25, 0.25, 0.5]),
    ),
    Unstable("product of experts", product_of_experts, ([-70.0, 20.0, 100.0], [-60.0, -90.0, 3.0])),
    Unstable("ordinal regression", ordinal, ([0.0, 5.0, -40.0], [20.0, -100.0, -1.0], [21.0, -99.0, 0.5])),
    Unstable("stick breaking", stick_breaking, ([[20.0, -2.0, 40.0, 1.0]],)),
    Unstable("discrete survival", discrete_survival, ([[18.0, 2.0, -100.0], [-3.0, 30.0, 1.0]],)),
    Unstable("all but the background", ssd_loss, ([[30.0, 2.0, 1.0], [100.0, -20.0, -19.0], [0.5, 0.25, 1.0]],)),
    Unstable("unlikelihood", unlikelihood, ([[30.0, 2.0, 1.0], [-20.0, 95.0, -19.0], [0.5, 0.25, 1.0]], [0, 1, 2])),
    Unstable("ORPO odds", orpo_odds, ([-1e-6, -120.0, -2.0, -0.5], [-3.0, -1.0, -1e-5, -100.0])),
    Unstable("GRPO k3 estimator", grpo_kl, ([-1.0, -2.5, -0.5, -3.0], [-1.0009765625, -2.50001, -0.5000005, -2.9998])),
    Unstable("gaussian KL at the prior", gaussian_kl, ([1e-4, -2e-4, 5e-4, -3e-5],)),
    Unstable("log-normal variance", lognormal_variance, ([1e-4, 3e-4, 2e-3, 1e-3],)),
    Unstable("Box-Cox near zero", box_cox, ([3.0, 0.5, 20.0, 1.25], [1e-6, -2e-6, 1e-5, 3e-7]), trained=(0,)),
    Unstable("annuity", annuity, ([1e-6, 3e-5, 2e-7, 1e-4],), gradient=False),
    Unstable("log return", log_return, ([100.00001, 35.5, 4096.5, 7.0], [100.0, 35.499996, 4096.0, 7.000002])),
    Unstable("Lorentz factor less one", lorentz_excess, ([1e-4, 5e-4, -2e-4, 1e-3],)),
    Unstable("kinetic energy", kinetic, ([0.001, 0.02, 0.03], [4.0, 16.0, 100.0])),
    Unstable("Planck", planck, ([1e-4, 3e-3, 0.5, 4.0, 120.0],)),
    Unstable("Fermi-Dirac", fermi, ([20.0, -15.0, 1.0, 1.25], [1.0, 0.5, 1.125, 1.0])),
    Unstable("Einstein heat capacity", einstein_heat, ([1.0, 2.0, 120.0, -95.0],)),
    Unstable("Bernoulli function", bernoulli_function, ([1e-6, -3e-6, 0.01, 2.0, 200.0, -5.0],)),
    Unstable(
        "Goldman-Hodgkin-Katz",
        ghk_flux,
        ([1e-5, -2e-6, 0.01, 3.0], [4.0, 2.0, 5.0, 1.0], [1.0, 3.0, 2.0, 0.5]),
        trained=(1, 2),
    ),
    Unstable("Hodgkin-Huxley rate", hodgkin_huxley, ([-39.99999, -40.00003, -39.5, 30.0],)),
    Unstable("sagitta", sagitta, ([100.0, 2000.0, 50.0], [0.03, 0.5, 0.02])),
    Unstable("quadratic root", quadratic_root, ([1.0, 2.0, 0.5], [5000.0, 8192.0, 30000.0], [1.0, -3.0, 0.25])),
    Unstable("SI-SDR", si_sdr, ([[3e21, -1e21, 2e21], [1.0, 2.0, -1.0]], [[1e-5, 2e-5, 1e-5], [1e-23, -2e-23, 3e-23]])),
    Unstable(
        "Pearson, both centred",
        pearson,
        (
            [[3e20, 1e20, -2e20, 5e20], [3e-14, 1e-14, 4e-14, -2e-14]],
            [[1e19, 2e20, -1e20, 4e20], [1e-13, 2e-14, -4e-14, 6e-14]],
        ),
    ),
    Unstable("GeM pooling", gem, ([[1e5, 3e5, 2e5, 1e4], [1e-6, 3e-6, 2e-6, 1e-6]],)),
    Unstable("inverse square law", gravity, ([[3e13, -4e13, 1e13], [2e13, 1e13, -2e13]],)),
    Unstable(
        "distances by expansion",
        squared_distances,
        ([[3000.0, 4000.5], [3001.0, 3999.0]], [[3000.25, 4000.0], [2999.0, 4001.5]]),
    ),
    Unstable("log of normal cdf", log_ndtr_by_erf, ([-30.0, -12.0, -6.0, -1.0, 0.5, 3.0],)),
    Unstable("Kumaraswamy sample", kumaraswamy, (SMALLER,)),
    Unstable("free: swish by hand", swish_by_hand, ([-200.0, -95.0, -3.0, 0.5, 90.0],)),
    Unstable("free: tanh by hand", tanh_by_hand, ([1e-6, 3e-5, -2e-4, 1e-3],)),
    Unstable("free: tanh by hand, large", tanh_by_hand, ([-90.0, -2.0, 0.5, 60.0, 200.0],)),
    Unstable("free: sinh by hand", lambda x: (torch.exp(x) - torch.exp(-x)) / 2, ([1e-6, 3e-5, -2e-4, 1e-3],)),
    Unstable("free: sech by exps", lambda x: 2 / (torch.exp(x) + torch.exp(-x)), ([-120.0, -2.0, 0.5, 95.0, 3.0],)),
    Unstable("free: log cosh, large", lambda x: torch.log(torch.cosh(x)), ([-300.0, -95.0, 2.0, 0.5, 120.0],)),
    Unstable("free: log cosh, small", lambda x: x.cosh().log().mean(), ([1e-4, -3e-4, 5e-4, 2e-4],)),
    Unstable("free: logistic density", logistic_density, ([-120.0, -60.0, 0.5, 2.0, 95.0],)),
    Unstable("free: Geman-McClure", geman_mcclure, ([3e20, -1e25, 2.0, 0.5],)),
    Unstable("free: Cauchy loss", lambda x: 2 * torch.log(1 + (x / 2) ** 2), ([1e-5, 3e-4, 2e-4, 1e-6],)),
    Unstable("free: Cauchy loss, large", lambda x: torch.log(1 + x**2), ([1e25, -3e20, 2.0, 0.5],)),
    Unstable("free: Welsch loss", lambda x: 1 - torch.exp(-0.5 * x * x), ([1e-4, -3e-4, 2e-5, 5e-4],)),
    Unstable("free: pseudo-Huber", lambda r: torch.sqrt(1 + r**2) - 1, ([1e-4, -3e-3, 2e-4, 1e-3],)),
    Unstable("free: x over its root", lambda x: x / torch.sqrt(1 + x * x), ([3e20, -1e25, 2.0, 0.5],)),
    Unstable("free: parallel resistance", parallel_resistance, ([3e20, 2e-25, 4.0], [5e22, 3e-24, 2.0])),
    Unstable("free: versine", lambda t: (1 - torch.cos(t)) / t**2, ([1e-4, -3e-4, 2e-3, 1e-3],), gradient=False),
    Unstable(
        "free: difference of squares", lambda a, b: a**2 - b**2, ([4097.25, 8000.5, 3.0], [4097.0, 8000.75, 2.999999])
    ),
    Unstable("free: roots of neighbours", lambda x: torch.sqrt(x + 1) - torch.sqrt(x), ([1e5, 3e6, 4e4, 1e6],)),
    Unstable("free: reciprocals of neighbours", lambda x: 1 / x - 1 / (x + 1), ([1e4, 3e5, 4e4, 2e4],)),
    Unstable("free: logs of neighbours", lambda x: torch.log(x + 1) - torch.log(x), ([1e5, 3e6, 4e4, 1e6],)),
    Unstable("free: log noisy or", noisy_or_probability, ([[-40.0, -30.0, -35.0], [-20.0, -100.0, -22.0]],)),
    Unstable("free: Langevin function", langevin, ([0.5, 3.0, 120.0, -95.0],)),
    Unstable(
        "free: ratio of products",
        ratio_of_products,
        ([[1e15, 2e14, 3e13], [1e-20, 2e-15, 3e-16]], [[2e13, 4e14, 1e14], [2e-18, 1e-16, 5e-15]]),
    ),
    Unstable("free: power of a power", rational_power, ([1e4, 3e5, 2e-6, 4e-4],)),
    Unstable("free: survival of erf", lambda x: 1 - torch.erf(x), ([2.5, 3.0, 3.5, 4.0],)),
]
