"""Unstable expressions from many fields, as they are written there, collected without a look at the rules.

The second part, from all of them.
"""

import math

import torch
from torch import nn

from tests.backend.stability.unstable import Unstable

Z = [-700.0, -120.0, -18.0, -3.0, -0.01, 0.0, 0.7, 5.0, 20.0, 110.0, 650.0]
ROWS = [[600.0, 595.0, 2.0], [-800.0, -790.0, -900.0], [0.3, 0.1, -1.0], [95.0, -95.0, 1.0]]
OTHERS = [[-300.0, 10.0, 100.0], [7.0, 6.0, -150.0], [0.2, 0.4, -0.1], [250.0, 249.0, 5.0]]
ONEHOT = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
BIG = [[2e23, -5e22, 1e22], [1e-25, 3e-25, -2e-25], [2.0, -1.0, 2.0]]
BIG2 = [[-1e22, 3e22, 1e22], [2e-24, -1e-24, 1e-24], [1.0, 4.0, 1.0]]
OFF = [[5000.5, 5001.0, 4999.25, 5002.0], [-1024.0, -1025.5, -1023.75, -1024.25]]
TINY = [2e-9, 5e-8, 3e-7, 4e-6]
B01 = [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]


class Loss(nn.Module):
    def forward(self, x, y):
        prob = self.squash(x)
        return -torch.where(y > 0.5, prob.log(), (1 - prob).log()).mean()

    def squash(self, x):
        return x.exp() / (1 + x.exp())


def asymmetric(x, y):
    p = torch.sigmoid(x)
    a = y * torch.log(p)
    b = (1 - y) * torch.log(1 - p)
    return -(a * (1 - p) + b * p**4)


def gce(x):
    p = torch.softmax(x, -1)[:, 0]
    return -torch.log(p) * 0.5 + (1 - p)


def two_head(x, y):
    pa = x.softmax(-1)
    pb = y.softmax(-1)
    ens = (pa + pb) / 2
    return -torch.log(ens[:, 1])


def symmetric_ce(x, t):
    p = x.softmax(1)
    return -(t * torch.log(p)).sum(1) + 0.1 * (-(p * math.log(1e-4)).sum(1))


def consistency_kl(a, b):
    lp = torch.log(nn.functional.softmax(a, dim=-1))
    lq = torch.log(nn.functional.softmax(b, dim=-1))
    return torch.mean(torch.sum(torch.exp(lp) * (lp - lq), -1))


def ipo(won, lost):
    ratio = torch.exp(won) / torch.exp(lost)
    return (torch.log(ratio) - 5.0) ** 2


def orpo(lp):
    odds = torch.exp(lp) / (1 - torch.exp(lp))
    return torch.log(odds)


def orpo2(a, b):
    log_odds = (a - b) - (torch.log(1 - torch.exp(a)) - torch.log(1 - torch.exp(b)))
    return -torch.log(torch.sigmoid(log_odds))


def simpo(c, r):
    return -torch.log(1 / (1 + torch.exp(-2.0 * (c - r) + 0.5)))


def grpo_kl(lp, ref):
    return (ref - lp).exp() - (ref - lp) - 1


def cumulative_link(x):
    return torch.log(torch.sigmoid(2.0 - x) - torch.sigmoid(-1.0 - x))


def hazard(x):
    h = torch.sigmoid(x)
    return torch.cumsum(torch.log(1 - h), dim=0)


def cloglog(x):
    p = 1 - torch.exp(-torch.exp(x))
    return torch.log(p)


def cox(x):
    risk = torch.exp(x)
    return (x - torch.log(torch.flip(torch.cumsum(torch.flip(risk, [0]), 0), [0]))).sum()


def mixture_logistic(x, mu, w):
    pi = w.exp() / w.exp().sum()
    comp = torch.exp(-(x[:, None] - mu)) / (1 + torch.exp(-(x[:, None] - mu))) ** 2
    return torch.log((pi * comp).sum(1))


def logistic_density(x):
    return torch.exp(-x) / (1 + torch.exp(-x)) ** 2


def log_logistic_density(x):
    return torch.log(torch.exp(-x) / (1 + torch.exp(-x)).pow(2))


def skew_normal_log(x):
    phi = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return torch.log(2 * phi * 0.5 * (1 + torch.erf(-2.0 * x / math.sqrt(2))))


def gelu_log_gate(x):
    return torch.log(0.5 * torch.erfc(-x / math.sqrt(2)))


def gev(x):
    return -torch.log(1 - torch.exp(-torch.exp(-x)))


def pareto_sf(x):
    return 1 - (1 + x) ** -3.0


def exp_interval(a, b):
    return torch.exp(-a) - torch.exp(-b)


def kl_laplace(d):
    return torch.exp(-d) + d - 1


def gamma_kl_ratio(r):
    return r - 1 - torch.log(r)


def log_inverse_gaussian(x):
    return torch.log(torch.exp(-((x - 1.0) ** 2) / (2 * x)) / torch.sqrt(2 * math.pi * x**3))


def beta_mode(a, b):
    return torch.log(torch.exp(a) / (torch.exp(a) + torch.exp(b))) * 2 + torch.log(
        torch.exp(b) / (torch.exp(a) + torch.exp(b))
    )


def logit_mean(x):
    p = torch.sigmoid(x).mean(-1)
    return torch.log(p)


def hopfield(q, k):
    s = 8.0 * (k @ q)
    a = torch.exp(s) / torch.exp(s).sum()
    return a @ k


def mean_pool_attention(x, mask):
    w = torch.exp(x) * mask
    return (w / w.sum(-1, keepdim=True) * x).sum(-1)


def cosine_matrix(a, b):
    na = torch.sqrt((a * a).sum(-1, keepdim=True))
    nb = torch.sqrt((b * b).sum(-1, keepdim=True))
    return (a / na) @ (b / nb).T


def gate_ratio(x, y):
    return torch.sigmoid(x) / (torch.sigmoid(x) + torch.sigmoid(y))


def tempered(x):
    p = x.softmax(-1) ** 0.5
    return p / p.sum(-1, keepdim=True)


def renorm_topk(x):
    p = torch.softmax(x, -1)
    top = p[:, :2]
    return top / top.sum(-1, keepdim=True)


def mse_db(a, b):
    return -10 * torch.log10(((a - b) ** 2).mean(-1))


def psnr(m):
    return 20 * torch.log10(255 / torch.sqrt(m))


def kurtosis(x):
    m = x.mean(-1, keepdim=True)
    m2 = (x**2).mean(-1, keepdim=True) - m**2
    return (((x - m) ** 4).mean(-1, keepdim=True) / m2**2).squeeze(-1)


def weighted_variance(x, w):
    w = w / w.sum()
    return (w * x * x).sum() - (w * x).sum() ** 2


def batch_norm_moments(x):
    m = x.mean(0)
    v = torch.mean(x * x, 0) - m * m
    return (x - m) * torch.rsqrt(v + 1e-5)


def regression_slope(x, y):
    n = 4
    return (n * (x * y).sum() - x.sum() * y.sum()) / (n * (x * x).sum() - x.sum() ** 2)


def weight_norm(v, g):
    return g * v / torch.norm(v, 2, dim=1, keepdim=True)


def minkowski(a, b):
    return ((a - b).abs() ** 3).sum(-1) ** (1 / 3)


def harmonic_pair(a, b):
    return a * b / (a + b)


def geodesic(a, b):
    return torch.acosh(torch.sqrt(1 + a * a) * torch.sqrt(1 + b * b) - a * b)


def versine_sq(t):
    return 2 - 2 * torch.cos(t)


def tan_half(t):
    return (1 - torch.cos(t)) / torch.sin(t)


def so3_c(t):
    return (t - torch.sin(t)) / t**3


def coth_gap(x):
    return (torch.exp(x) + 1) / (torch.exp(x) - 1)


def bose_log(x):
    return -torch.log(1 - torch.exp(-x))


def two_level(e):
    z = 1 + torch.exp(-e)
    return e * torch.exp(-e) / z


def helmholtz(e):
    z = torch.exp(-e).sum(-1)
    p = torch.exp(-e) / z[:, None]
    return (p * e).sum(-1) + torch.log(z)


def screened(r):
    return (1 - torch.exp(-r)) / r


def sqrt1pm1(x):
    return torch.sqrt(1 + x) - 1


def inv_sqrt_gap(x):
    return 1 / torch.sqrt(x) - 1 / torch.sqrt(x + 1)


def reciprocal_gap(x):
    return 1 / x - 1 / (x + 1)


def quadratic_roots(a, b, c):
    d = torch.sqrt(b**2 - 4 * a * c)
    return torch.stack([(-b + d) / (2 * a), (-b - d) / (2 * a)])


def apr(i):
    return (1 + i / 12).pow(12) - 1


def discount(r, t):
    return (1 - torch.exp(-r * t)) / r


def crra(c):
    return (c**0.01 - 1) / 0.01


def box_cox(x, lam):
    return (x**lam - 1) / lam


def vol_of_returns(p):
    r = torch.log(p[1:] / p[:-1])
    return torch.sqrt((r * r).mean() - r.mean() ** 2)


def lse_pool(x):
    return torch.log(torch.einsum("ij->i", torch.exp(x * 4.0)) / 3) / 4.0


def sum_exp_ratio(x):
    return torch.log(torch.exp(x).sum(-1)) - torch.log(torch.exp(2 * x).sum(-1))


def ess(lw):
    w = torch.exp(lw)
    return w.sum(-1) ** 2 / (w**2).sum(-1)


def snis(lw, f):
    w = lw.exp()
    return (w * f).sum(-1) / w.sum(-1)


def spectral_entropy(x):
    p = x**2 / (x**2).sum(-1, keepdim=True)
    return -(p * torch.log(p)).sum(-1)


def si_sdr(e, s):
    a = (e * s).sum(-1, keepdim=True) / (s * s).sum(-1, keepdim=True)
    t = a * s
    return 10 * torch.log10((t**2).sum(-1) / ((e - t) ** 2).sum(-1))


def companding(x):
    return torch.log(1 + 87.6 * x) / (1 + math.log(87.6))


def ddim_sigma(a):
    abar = torch.exp(-a)
    return torch.sqrt((1 - abar) / abar)


def flow_planar(x):
    return torch.log(torch.abs(1 + 0.5 * (1 - torch.tanh(x) ** 2)))


def softplus_flow(x):
    return torch.log(torch.exp(x) / (1 + torch.exp(x)))


def log_diff_exp(a, b):
    return torch.log(torch.exp(a) - torch.exp(b))


def logmeanexp_list(a, b, c):
    return torch.log((a.exp() + b.exp() + c.exp()) / 3)


def normalized_loop(x):
    w = x
    for _ in range(2):
        w = torch.exp(w)
        w = w / w.sum(-1, keepdim=True)
    return w


MORE_FIELDS = [
    Unstable("module's bce", Loss(), (Z, B01), trained=(0,)),
    Unstable("asymmetric loss", asymmetric, (Z, B01), trained=(0,)),
    Unstable("generalised ce", gce, (ROWS,)),
    Unstable("ensemble nll", two_head, (ROWS, OTHERS)),
    Unstable("symmetric ce", symmetric_ce, (ROWS, ONEHOT), trained=(0,)),
    Unstable("consistency kl", consistency_kl, (ROWS, OTHERS)),
    Unstable("IPO", ipo, ([-300.0, 200.0, 1.0], [-301.0, 190.0, 0.5])),
    Unstable("odds of log p", orpo, ([-1e-6, -1e-3, -1.0, -40.0, -150.0],)),
    Unstable("ORPO", orpo2, ([-1e-6, -1.0, -40.0], [-2.0, -1e-5, -90.0])),
    Unstable("SimPO", simpo, ([100.0, -100.0, 0.0, 9.0], [1.0, 0.0, 1.0, -3.0])),
    Unstable("GRPO's kl", grpo_kl, ([1e-3, -2e-3, 3e-4], [0.0, 1e-3, 0.0])),
    Unstable("cumulative link", cumulative_link, ([-60.0, -10.0, 0.0, 8.0, 120.0],)),
    Unstable("hazards", hazard, (Z,)),
    Unstable("cloglog", cloglog, ([-110.0, -20.0, -1.0, 1.0],)),
    Unstable("Cox", cox, ([300.0, -200.0, 1.0, 310.0],)),
    Unstable("mixture of logistics", mixture_logistic, ([200.0, -150.0, 0.5], [1.0, -2.0, 3.0], [0.1, 0.2, -0.5])),
    Unstable("logistic density", logistic_density, ([-120.0, -3.0, 0.0, 2.0, 50.0],)),
    Unstable("log logistic density", log_logistic_density, (Z,)),
    Unstable("skew normal", skew_normal_log, ([30.0, 5.0, 0.1, -3.0],)),
    Unstable("log of a gate by erfc", gelu_log_gate, ([-40.0, -9.0, -1.0, 2.0],)),
    Unstable("Gumbel log survival", gev, ([5.0, 15.0, 30.0, 0.0],)),
    Unstable("Pareto survival", pareto_sf, (TINY,)),
    Unstable("exponential interval", exp_interval, ([1.0, 0.5, 2.0], [1.00001, 0.50001, 2.0001])),
    Unstable("kl of Laplaces", kl_laplace, ([1e-3, 2e-4, 3e-3],)),
    Unstable("kl of gammas", gamma_kl_ratio, ([1.0009765625, 0.9990234375, 1.0001220703125],)),
    Unstable("inverse Gaussian", log_inverse_gaussian, ([400.0, 1e-3, 1.0],)),
    Unstable("log Beta likelihood", beta_mode, (Z, [1.0] * 11)),
    Unstable("log mean of sigmoids", logit_mean, (ROWS,)),
    Unstable("Hopfield", hopfield, ([30.0, -20.0, 5.0], [*OTHERS[:1], [1.0, 2.0, 3.0], [0.1, 0.2, -0.3]])),
    Unstable(
        "masked pooling",
        mean_pool_attention,
        (ROWS, [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]),
        trained=(0,),
    ),
    Unstable("cosine matrix", cosine_matrix, (BIG, BIG2)),
    Unstable("ratio of gates", gate_ratio, ([-120.0, -110.0, 3.0, -300.0], [-121.0, -108.0, 1.0, -299.0])),
    Unstable("tempered softmax", tempered, (ROWS,)),
    Unstable("renormalised top", renorm_topk, ([[1.0, 2.0, 200.0], [-3.0, 1.0, 300.0], [0.1, 0.2, 0.3]],)),
    Unstable("MSE in dB", mse_db, (BIG, BIG2)),
    Unstable("PSNR", psnr, ([1e-30, 3.0, 1e20],)),
    Unstable("kurtosis", kurtosis, (OFF,)),
    Unstable("weighted variance", weighted_variance, (OFF[0], [1.0, 2.0, 3.0, 1.0])),
    Unstable(
        "batch norm by moments", batch_norm_moments, ([[5000.5, -2000.0], [5001.0, -2001.5], [4999.0, -2000.25]],)
    ),
    Unstable("slope of a regression", regression_slope, (OFF[0], OFF[1])),
    Unstable("weight norm", weight_norm, (BIG, [[1.0], [2.0], [3.0]])),
    Unstable("Minkowski", minkowski, (BIG, BIG2)),
    Unstable("reduced mass", harmonic_pair, ([1e25, 1e-25, 3.0], [2e25, 2e-25, 4.0])),
    Unstable("2 - 2 cos", versine_sq, ([1e-3, -3e-4, 2e-3],)),
    Unstable("tan of the half", tan_half, ([1e-3, -3e-4, 2e-3],)),
    Unstable("SO(3) coefficient", so3_c, ([1e-2, -3e-3, 2e-2],)),
    Unstable("coth", coth_gap, ([1e-6, 3e-6, 2e-6],)),
    Unstable("coth large", coth_gap, ([100.0, 3.0, 1.0],)),
    Unstable("Bose gas", bose_log, ([1e-8, 1e-3, 1.0, 30.0],)),
    Unstable("two levels", two_level, (Z,)),
    Unstable("Helmholtz", helmholtz, (ROWS,)),
    Unstable("screened charge", screened, (TINY,)),
    Unstable("sqrt1pm1", sqrt1pm1, (TINY,)),
    Unstable("gap of inverse roots", inv_sqrt_gap, ([1e5, 3e6, 2e5],)),
    Unstable("gap of reciprocals", reciprocal_gap, ([1e5, 3e6, 2e5],)),
    Unstable("both roots", quadratic_roots, ([1.0, 2.0], [1e5, -3e4], [1.0, 2.0])),
    Unstable("APR", apr, (TINY,)),
    Unstable("discounting", discount, (TINY, [1.0, 2.0, 3.0, 4.0])),
    Unstable("CRRA", crra, ([1.001, 0.999, 1.0003],)),
    Unstable("Box-Cox", box_cox, ([2.0, 3.0, 0.5], [1e-6, 2e-6, -1e-5])),
    Unstable("volatility", vol_of_returns, ([100.0, 100.01, 100.02, 100.03],)),
    Unstable("lse pool", lse_pool, (ROWS,)),
    Unstable("Renyi", sum_exp_ratio, (ROWS,)),
    Unstable("effective sample size", ess, (ROWS,)),
    Unstable("self-normalised", snis, (ROWS, OTHERS)),
    Unstable("spectral entropy", spectral_entropy, (BIG[:1] + BIG[2:],)),
    Unstable("SI-SDR", si_sdr, (BIG, BIG2)),
    Unstable("A-law", companding, (TINY,)),
    Unstable("DDIM sigma", ddim_sigma, (TINY,)),
    Unstable("planar flow", flow_planar, (Z,)),
    Unstable("log of a logistic ratio", softplus_flow, (Z,)),
    Unstable("log-diff-exp", log_diff_exp, ([500.0, -300.0, 1.00001], [499.0, -301.0, 1.0])),
    Unstable("log-mean-exp of three", logmeanexp_list, (Z, Z[::-1], [1.0] * 11)),
    Unstable("softmax twice", normalized_loop, (ROWS,)),
]
