"""Unstable expressions from many fields, as they are written there, collected without a look at the rules.

Attention, norms, training, generation, science and signals.
"""

import math

import torch
from torch.nn import functional as F

from tests.backend.stability.fields import (
    BIGVEC,
    BIGVEC2,
    IDX,
    LOGITS,
    LOSSES_AND_DISTRIBUTIONS,
    MASK,
    OFFSET,
    OTHER,
    POS_SMALL,
    SMALL,
    TINY,
    WIDE,
)
from tests.backend.stability.unstable import Unstable


# ---- attention and gating
def attention_masked_multiply(s, v):
    m = torch.tril(torch.ones(4, 4))
    w = torch.exp(s) * m
    return (w / w.sum(-1, keepdim=True)) @ v


def fully_masked(s, mask):
    return torch.softmax(s.masked_fill(~mask, float("-inf")), -1)


def fully_masked_expected(s, mask):
    e = torch.where(mask, torch.exp(s), 0.0)
    t = e.sum(-1, keepdim=True)
    return torch.where(t > 0, e / torch.where(t > 0, t, 1.0), 0.0)


def elu_feature(x):
    return F.elu(x) + 1


def off_by_one(x):
    e = torch.exp(x)
    return e / (1 + e.sum(-1, keepdim=True))


def merge_partials(o1, o2, l1, l2):
    w1, w2 = torch.exp(l1), torch.exp(l2)
    return (o1 * w1 + o2 * w2) / (w1 + w2)


def rbf_attention(q, k, v):
    d = (q[:, None] - k[None, :]) ** 2
    w = torch.exp(-d)
    return (w @ v) / w.sum(1)


def z_loss(x):
    return torch.log(torch.sum(torch.exp(x), dim=-1)).square().mean()


def router_entropy(x):
    g = F.softmax(x, dim=-1)
    return -torch.einsum("ij,ij->i", g, torch.log(g))


def scores_to_prob_loop(x):
    out = []
    for row in x.unbind(0):
        e = row.exp()
        out.append(e / e.sum())
    return torch.stack(out)


def swish_by_hand(x):
    return x / (1 + torch.exp(-x))


def mish_by_hand(x):
    return x * torch.tanh(torch.log(1 + torch.exp(x)))


def gated_log(x, y):
    return torch.log(torch.sigmoid(x) * torch.sigmoid(y))


# ---- norms and statistics
def unit(x):
    return x / torch.sqrt((x**2).sum(-1, keepdim=True))


def l2(x):
    return torch.sqrt(torch.sum(x * x))


def p_norm4(x):
    return (x.abs() ** 4).sum(-1) ** 0.25


def gem(x):
    return x.pow(3.0).mean(-1).pow(1 / 3.0)


def cosine(a, b):
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))


def layer_norm_moments(x):
    m = x.mean(-1, keepdim=True)
    v = (x**2).mean(-1, keepdim=True) - m**2
    return (x - m) / torch.sqrt(v + 1e-5)


def covariance(x, y):
    return (x * y).mean() - x.mean() * y.mean()


def pearson(x, y):
    n = x.shape[-1]
    num = n * (x * y).sum(-1) - x.sum(-1) * y.sum(-1)
    den = torch.sqrt((n * (x * x).sum(-1) - x.sum(-1) ** 2) * (n * (y * y).sum(-1) - y.sum(-1) ** 2))
    return num / den


def squared_distance(a, b):
    return (a * a).sum(-1) + (b * b).sum(-1) - 2 * (a * b).sum(-1)


def std_by_hand(x):
    return torch.sqrt((x.square().sum(-1) - x.sum(-1).square() / 5) / 4)


def running_variance_loop(x):
    s = torch.zeros(())
    s2 = torch.zeros(())
    for i in range(5):
        s = s + x[i]
        s2 = s2 + x[i] * x[i]
    return s2 / 5 - (s / 5) ** 2


def clip_grad(g):
    n = torch.linalg.vector_norm(g)
    return g * torch.clamp(1.0 / n, max=1.0)


def third_moment(x):
    m = x.mean()
    return (x**3).mean() - 3 * m * (x**2).mean() + 2 * m**3


def geomean(p):
    return p.prod(-1) ** (1 / 4)


def rms_level(x):
    return x.pow(2).mean().sqrt()


# ---- optimisers, RL
def debias(m, t):
    return m / (1 - 0.999**t)


def trust_ratio(w, u):
    return torch.norm(w) / torch.norm(u)


def exp_weights(w, g):
    nw = w * torch.exp(-0.5 * g)
    return nw / nw.sum(-1, keepdim=True)


def ppo_ratio(new, old):
    return torch.exp(new) / torch.exp(old)


def ppo_from_probs(a, b):
    new = a.softmax(-1).gather(1, IDX[:, None])
    old = b.softmax(-1).gather(1, IDX[:, None])
    return torch.log(new / old)


def k3(lr):
    return torch.exp(lr) - 1 - lr


def awr(adv):
    w = (adv / 0.05).exp()
    return w / w.mean()


def soft_value(q):
    alpha = 0.2
    return alpha * torch.exp(q / alpha).sum(-1).log()


def mellowmax(q):
    return torch.log(torch.exp(5.0 * q).mean(-1)) / 5.0


def adv_norm(a):
    mean = a.mean()
    var = (a**2).mean() - mean**2
    return (a - mean) / (var.sqrt() + 1e-8)


def soft_policy_kl(a, b):
    return F.kl_div(torch.log(F.softmax(a, -1)), F.softmax(b, -1), reduction="batchmean")


# ---- VAE, flows, diffusion
def vae_kl(mu, lv):
    return -0.5 * torch.sum(1 + lv - mu**2 - lv.exp(), dim=-1)


def vpsde_std(t):
    lmc = -0.25 * t**2 * (20 - 0.1) - 0.5 * t * 0.1
    return torch.sqrt(1.0 - torch.exp(2.0 * lmc))


def log_snr(g):
    a2 = torch.sigmoid(g)
    return torch.log(a2 / (1 - a2))


def iwae(lw):
    return torch.log(lw.exp().mean(0))


def inv_softplus(x):
    return torch.log(torch.exp(x) - 1)


def sigmoid_logdet(x):
    s = torch.sigmoid(x)
    return torch.log(s * (1 - s))


def discretized_logistic(x):
    cdf_plus = torch.sigmoid((x + 0.5) / 2.0)
    cdf_min = torch.sigmoid((x - 0.5) / 2.0)
    return torch.log(cdf_plus - cdf_min)


def alphas_cumprod_log(b):
    return torch.log(torch.cumprod(1 - b, dim=0))


def posterior_var(b):
    ab = torch.exp(-torch.cumsum(b, 0))
    return 1 - ab


# ---- physics, geometry
def sinc_by_hand(x):
    return torch.sin(x) / x


def sinc_expected(x):
    return torch.where(x == 0, 1.0, torch.sin(x) / torch.where(x == 0, 1.0, x))


def one_minus_cos(x):
    return 1 - torch.cos(x)


def rodrigues_b(t):
    return (1 - torch.cos(t)) / t**2


def poincare(u, v):
    num = 2 * ((u - v) ** 2).sum(-1)
    den = (1 - (u * u).sum(-1)) * (1 - (v * v).sum(-1))
    return torch.acosh(1 + num / den)


def kinetic(b):
    return 1 / torch.sqrt(1 - b**2) - 1


def planck(x):
    return x**3 / (torch.exp(x) - 1)


def fermi(e, mu):
    return 1.0 / (torch.exp((e - mu) / 0.01) + 1.0)


def langevin(x):
    return 1 / torch.tanh(x) - 1 / x


def root_step(x):
    return torch.sqrt(x + 1) - torch.sqrt(x)


def quadratic(b, c):
    return (-b + torch.sqrt(b * b - 4 * c)) / 2


def free_energy(e):
    return -torch.log(torch.exp(-e / 0.1).sum(-1)) * 0.1


def heat_capacity(e):
    w = torch.softmax(-e, -1)
    return (w * e**2).sum(-1) - (w * e).sum(-1) ** 2


def smooth_min_sdf(a, b):
    k = 32.0
    return -torch.log(torch.exp(-k * a) + torch.exp(-k * b)) / k


def arsinh(x):
    return torch.log(x + torch.sqrt(x * x + 1))


def tanh_by_exps(x):
    return (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))


def sinh_by_exps(x):
    return 0.5 * (torch.exp(x) - torch.exp(-x))


def modulus3(x, y, z):
    return (x * x + y * y + z * z).sqrt()


def ising(h):
    return torch.log(2 * torch.cosh(h))


# ---- finance, signal
def compound(r):
    return (1 + r) ** 12 - 1


def annuity(r):
    return (1 - (1 + r) ** -30) / r


def nelson_siegel(x):
    return (1 - torch.exp(-x)) / x


def log_return(r):
    return torch.log(1 + r).cumsum(0)


def decibel(x):
    return 10 * torch.log10(x**2)


def snr_db(s, n):
    return 10 * torch.log10((s**2).sum(-1) / (n**2).sum(-1))


def mu_law(x):
    return torch.sign(x) * torch.log(1 + 255.0 * x.abs()) / math.log(256)


def inv_mu_law(y):
    return (256.0 ** y.abs() - 1) / 255


def spectral_flatness(p):
    return torch.prod(p, -1) ** (1 / p.shape[-1]) / p.mean(-1)


def hann(n):
    return 0.5 * (1 - torch.cos(2 * math.pi * n / 1e5))


def magnitude_db(re, im):
    return 20 * torch.log10(torch.sqrt(re**2 + im**2))


FIELDS = [
    *LOSSES_AND_DISTRIBUTIONS,
    Unstable("masked attention by multiplication", attention_masked_multiply, (LOGITS, OTHER)),
    Unstable("fully masked rows", fully_masked, (OTHER, MASK), expected=fully_masked_expected),
    Unstable("elu feature map", elu_feature, ([-20.0, -15.0, -17.0, -30.0],)),
    Unstable("softmax off by one", off_by_one, (LOGITS,)),
    Unstable(
        "merging partial attention",
        merge_partials,
        ([1.0, 2.0, -3.0], [0.5, -1.0, 4.0], [500.0, -300.0, 1.0], [498.0, -303.0, 2.0]),
    ),
    Unstable("RBF attention", rbf_attention, ([30.0, -1.0, 0.0], [1.0, 2.0, -3.0], [0.3, 4.0, -2.0])),
    Unstable("z-loss", z_loss, (LOGITS,)),
    Unstable("router entropy", router_entropy, (LOGITS,)),
    Unstable("softmax in a loop", scores_to_prob_loop, (LOGITS,)),
    Unstable("swish by hand", swish_by_hand, (WIDE,)),
    Unstable("mish by hand", mish_by_hand, (WIDE,)),
    Unstable("log of two gates", gated_log, (WIDE, WIDE[::-1])),
    Unstable("unit vector", unit, (BIGVEC,)),
    Unstable("norm at zero", l2, ([0.0, 0.0, 0.0],), expected=lambda x: torch.abs(x).sum() * 0 + 0 * x.sum()),
    Unstable("norm of small", l2, ([1e-24, -3e-23, 2e-25],)),
    Unstable("4-norm", p_norm4, ([[1e12, -2e12, 3e11], [1e-13, 2e-13, -1e-13], [1.0, 2.0, 3.0]],)),
    Unstable("generalised mean", gem, ([[1e14, 2e14, 3e13], [1e-16, 2e-15, 1e-15], [1.0, 2.0, 3.0]],)),
    Unstable("cosine", cosine, (BIGVEC, BIGVEC2)),
    Unstable("layer norm by moments", layer_norm_moments, (OFFSET,)),
    Unstable("covariance", covariance, (OFFSET[0], OFFSET[1])),
    Unstable("Pearson by sums", pearson, (OFFSET, OFFSET[::-1])),
    Unstable(
        "squared distance expanded", squared_distance, ([[1000.5, -2000.25, 3000.0]], [[1000.25, -2000.0, 3000.5]])
    ),
    Unstable("std by hand", std_by_hand, (OFFSET,)),
    Unstable("variance in a loop", running_variance_loop, (OFFSET[0],)),
    Unstable("clipping of nothing", clip_grad, ([1e-25, -2e-25, 1e-25],)),
    Unstable("third moment", third_moment, ([100.0, 101.0, 99.5, 103.0],)),
    Unstable("geometric mean", geomean, ([[1e-15, 1e-14, 1e-13, 1e-12], [1e12, 1e13, 2e14, 1.0]],)),
    Unstable("rms of small", rms_level, ([1e-24, -3e-23, 2e-23],)),
    Unstable("Adam's debiasing", debias, ([0.1, 0.2, 0.3], [1.0, 2.0, 3.0]), trained=(0,)),
    Unstable("trust ratio", trust_ratio, ([1e22, 3e22], [2e-24, 1e-24])),
    Unstable(
        "multiplicative weights",
        exp_weights,
        ([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]], [[400.0, 300.0, 250.0], [-500.0, -300.0, -450.0]]),
    ),
    Unstable("PPO ratio", ppo_ratio, ([-200.0, 150.0, -1.0], [-201.0, 149.0, -1.5])),
    Unstable("PPO log ratio from probabilities", ppo_from_probs, (LOGITS, OTHER)),
    Unstable("k3 estimator", k3, ([1e-3, -2e-3, 1e-4, 5e-4],)),
    Unstable("AWR weights", awr, ([10.0, -3.0, 8.0, 9.5],)),
    Unstable("soft value", soft_value, (LOGITS,)),
    Unstable("mellowmax", mellowmax, (LOGITS,)),
    Unstable("advantages by moments", adv_norm, (OFFSET[0],)),
    Unstable("soft policy KL", soft_policy_kl, (LOGITS, OTHER)),
    Unstable("VAE KL near the prior", vae_kl, ([[1e-4, 2e-4]], [[1e-3, -2e-3]])),
    Unstable("VP-SDE std", vpsde_std, ([1e-5, 1e-4, 2e-5],)),
    Unstable("log SNR", log_snr, (WIDE,)),
    Unstable("IWAE", iwae, ([[-900.0, 800.0, 1.0], [-905.0, 790.0, 2.0]],)),
    Unstable("softplus inverse", inv_softplus, ([1e-7, 1e-3, 2.0, 120.0],)),
    Unstable("sigmoid log det", sigmoid_logdet, (WIDE,)),
    Unstable("discretised logistic", discretized_logistic, ([-250.0, -40.0, 0.3, 30.0, 190.0],)),
    Unstable("log of cumulated alphas", alphas_cumprod_log, (POS_SMALL,)),
    Unstable("1 - alpha bar", posterior_var, ([1e-6, 2e-6, 3e-6],)),
    Unstable("sinc", sinc_by_hand, ([0.0, 1e-20, 0.5, 3.0],), expected=sinc_expected),
    Unstable("1 - cos", one_minus_cos, ([1e-3, -2e-4, 5e-4],)),
    Unstable("Rodrigues", rodrigues_b, ([1e-3, -2e-4, 1e-22],)),
    Unstable("Poincare distance", poincare, ([[0.1, 0.2]], [[0.1001, 0.2001]])),
    Unstable("kinetic energy", kinetic, ([1e-3, 2e-4, -5e-4],)),
    Unstable("Planck", planck, ([1e-6, 2e-6, 3e-6],)),
    Unstable("Planck large", planck, ([90.0, 100.0, 30.0],)),
    Unstable("Fermi", fermi, ([-1.0, 0.0, 1.5, 3.0], [0.2] * 4)),
    Unstable("Langevin", langevin, ([1e-3, 2e-2, -5e-3],)),
    Unstable("root step", root_step, ([1e6, 3e7, 2e5],)),
    Unstable("quadratic root", quadratic, ([1e4, 3e3, 2e5], [1.0, 2.0, 3.0])),
    Unstable("free energy", free_energy, (LOGITS,)),
    Unstable("heat capacity", heat_capacity, ([[1000.25, 1000.5, 1001.0], [2000.0, 2002.0, 2001.0]],)),
    Unstable("smooth min", smooth_min_sdf, ([10.0, -20.0, 0.1], [11.0, -21.0, 0.1])),
    Unstable("arsinh", arsinh, ([-1e4, -1e-5, 1e-6, 1e22, 3.0],)),
    Unstable("arsinh small", arsinh, (SMALL,)),
    Unstable("tanh by exps", tanh_by_exps, (WIDE,)),
    Unstable("sinh by exps", sinh_by_exps, (SMALL,)),
    Unstable("modulus", modulus3, ([1e22, 1e-25, 3.0], [2e22, 2e-25, 4.0], [3e22, 0.0, 12.0])),
    Unstable("Ising", ising, (WIDE,)),
    Unstable("compound interest", compound, (POS_SMALL,)),
    Unstable("annuity", annuity, (POS_SMALL,)),
    Unstable("Nelson-Siegel", nelson_siegel, (POS_SMALL,)),
    Unstable("log returns", log_return, (SMALL,)),
    Unstable("decibels", decibel, ([1e-25, 1e-3, 1e22],)),
    Unstable("SNR", snr_db, (BIGVEC, BIGVEC2)),
    Unstable("mu-law", mu_law, (TINY,)),
    Unstable("inverse mu-law", inv_mu_law, (POS_SMALL,)),
    Unstable("spectral flatness", spectral_flatness, ([[1e-12, 1e-11, 1e-13, 1e-12], [1e10, 1e11, 2e12, 1e9]],)),
    Unstable("Hann", hann, ([1.0, 2.0, 5.0],)),
    Unstable("magnitude in dB", magnitude_db, ([1e-25, 1e22], [2e-25, -1e22])),
]
