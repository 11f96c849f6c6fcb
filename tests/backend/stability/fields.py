"""Unstable expressions from many fields, as they are written there, collected without a look at the rules.

Losses and distributions.
"""

import math

import torch
from torch.nn import functional as F

from tests.backend.stability.unstable import Unstable

WIDE = [-900.0, -104.0, -20.0, -2.0, -1e-4, 0.0, 0.3, 4.0, 18.0, 95.0, 800.0]
HUGE_NEG = [-900.0, -300.0, -150.0, -110.0]
LOGITS = [
    [800.0, 790.0, -5.0, 3.0],
    [-1000.0, -1003.0, -1001.0, -1200.0],
    [0.1, -0.4, 2.0, 1.0],
    [130.0, -130.0, 0.0, 20.0],
]
OTHER = [[-400.0, 2.0, 1.0, 100.0], [5.0, 4.0, 3.0, -200.0], [0.0, 0.5, -0.5, 0.2], [300.0, 299.0, 10.0, -50.0]]
SIGN = [1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0]
ZERO_ONE = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
SMALL = [-3e-4, -1e-5, -2e-7, 1e-8, 4e-7, 3e-6, 1e-4]
TINY = [1e-9, 3e-8, 2e-7, 5e-6]
POS_SMALL = [1e-8, 2e-7, 3e-6, 5e-5, 1e-4]
BIGVEC = [[3e22, -4e22, 1e21], [2e-24, -1e-24, 2e-24], [1.0, 2.0, -2.0]]
BIGVEC2 = [[1e22, 2e22, -2e22], [1e-24, 1e-24, 3e-24], [0.5, 1.0, 3.0]]
OFFSET = [[4096.25, 4097.0, 4095.5, 4096.0, 4098.5], [-2000.0, -2001.25, -2000.5, -1999.0, -2002.0]]
IDX = torch.tensor([1, 0, 3, 2])
ONEHOT = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]


# ---- losses
def margin_logistic(s, y):
    return torch.log(1.0 + torch.exp(-(y * s)))


def logistic_bits(s, y):
    z = s.mul(y).neg().exp()
    return torch.log2(z + 1).mean()


def my_sigmoid(x):
    return 1.0 / (1.0 + torch.exp(-x))


def bce_helper(x, y):
    p = my_sigmoid(x)
    loss = y * torch.log(p)
    loss = loss + (1.0 - y) * torch.log(1.0 - p)
    return -loss


def soft_ce(x, t):
    return -(t * x.softmax(-1).log()).sum(-1).mean()


def label_smoothing(x, t):
    eps, k = 0.1, 4
    logp = torch.log(torch.softmax(x, dim=1))
    q = t * (1 - eps) + eps / k
    return -torch.sum(q * logp, dim=1)


def focal(x, y):
    p = torch.sigmoid(x)
    pos = -0.25 * (1 - p).pow(2) * p.log() * y
    neg = -0.75 * p.pow(2) * (1 - p).log() * (1 - y)
    return pos + neg


def poly1(x):
    p = torch.exp(x) / torch.exp(x).sum(1, keepdim=True)
    pt = p[torch.arange(4), IDX]
    return -torch.log(pt) + 1.0 * (1 - pt)


def nll_probs(x):
    e = x.exp()
    e = e / e.sum(dim=-1)[:, None]
    return F.nll_loss(e.log(), IDX, reduction="none")


def distill(s, t):
    T = 2.0
    p = (t / T).exp()
    p = p / p.sum(1, keepdim=True)
    q = (s / T).exp()
    q = q / q.sum(1, keepdim=True)
    return (p * (torch.log(p) - torch.log(q))).sum(1) * T * T


def jsd(a, b):
    p, q = F.softmax(a, -1), F.softmax(b, -1)
    m = 0.5 * (p + q)
    return 0.5 * (p * (p / m).log()).sum(-1) + 0.5 * (q * (q / m).log()).sum(-1)


def jeffreys(a, b):
    p = torch.softmax(a, -1)
    q = torch.softmax(b, -1)
    return torch.sum((p - q) * torch.log(p / q), dim=-1)


def pseudo_huber(r):
    d = 1.35
    return d**2 * (torch.sqrt(1 + (r / d) ** 2) - 1)


def logcosh_loss(a, b):
    return torch.log(torch.cosh(a - b))


def charbonnier(a, b):
    d = a - b
    return torch.sqrt(d * d + 1e-6).mean()


def smooth_max(x):
    beta = 10.0
    return torch.log(torch.mean(torch.exp(beta * x), dim=-1)) / beta


def triplet(a, p, n):
    dap = (a - p).pow(2).sum(-1).sqrt()
    dan = (a - n).pow(2).sum(-1).sqrt()
    return torch.relu(dap - dan + 100.0)


def normalize(v):
    return v / v.norm(dim=-1, keepdim=True)


def info_nce(q, k):
    sim = normalize(q) @ normalize(k).t() / 0.01
    e = sim.exp()
    return -torch.log(torch.diagonal(e) / e.sum(1))


def nt_xent(s):
    mask = 1 - torch.eye(4)
    e = torch.exp(s / 0.5) * mask
    pos = torch.exp(torch.diagonal(s.roll(-1, 1)) / 0.5)
    return -torch.log(pos / e.sum(1))


def supcon(s, same):
    log_prob = s - torch.log(torch.exp(s).sum(1, keepdim=True))
    return -(same * log_prob).sum(1) / same.sum(1)


def clip_loss(s):
    rows = -torch.diagonal(s.softmax(1)).log()
    cols = -torch.diagonal(s.softmax(0)).log()
    return (rows + cols) / 2


def arcface_sine(c):
    return torch.sqrt(1.0 - torch.pow(c, 2))


def wing(x):
    w, e = 10.0, 2.0
    return w * torch.log(1 + x.abs() / e)


def cauchy_loss(x):
    return torch.log(1 + (x / 2.0) ** 2).sum()


def geman(x):
    s = x.square()
    return s / (s + 4.0)


def welsch(x):
    return 1 - torch.exp(-0.5 * (x / 3.0) ** 2)


def dpo(pc, pr, rc, rr):
    logits = 0.5 * ((pc - pr) - (rc - rr))
    return -torch.log(torch.sigmoid(logits))


def bradley_terry(won, lost):
    return -(won.exp() / (won.exp() + lost.exp())).log()


def listmle(x):
    tail = x.flip(-1).exp().cumsum(-1).flip(-1)
    return (tail.log() - x).sum(-1)


def noisy_or(x):
    p = torch.sigmoid(x)
    return torch.log(1 - torch.prod(1 - p, dim=-1))


def zip_zero(x, lam):
    pi = torch.sigmoid(x)
    return torch.log(pi + (1 - pi) * torch.exp(-lam))


def energy_ood(x):
    T = 0.5
    return -T * torch.log((x / T).exp().sum(-1))


def hinge_softened(x):
    out = torch.exp(x)
    out += 1
    return out.log()


def ordinal(x):
    lo, hi = torch.sigmoid(x - 1.0), torch.sigmoid(x + 1.0)
    return -torch.log(hi - lo)


# ---- distributions
def log_normal_cdf(x):
    return torch.log(0.5 * (1 + torch.erf(x / math.sqrt(2))))


def normal_sf(x):
    return 1 - 0.5 * (1.0 + torch.erf(x / 2**0.5))


def log_ndtr(x):
    return torch.special.ndtr(x).log()


def log_erfc(x):
    return torch.log(torch.erfc(x))


def one_minus_erf(x):
    return 1 - torch.erf(x)


def log_exp_cdf(t, rate):
    return torch.log(1 - torch.exp(-rate * t))


def weibull_cdf(x):
    return 1 - torch.exp(-((x / 2.0) ** 1.5))


def geometric_logpmf(x, k):
    p = torch.sigmoid(x)
    return k * torch.log(1 - p) + torch.log(p)


def bern_entropy(x):
    p = torch.sigmoid(x)
    return -(p * p.log() + (1 - p) * (1 - p).log())


def cat_entropy(x):
    e = torch.exp(x)
    p = e / torch.sum(e, -1, keepdim=True)
    return -(p * p.log()).sum(-1)


def kl_bern(a, b):
    p, q = torch.sigmoid(a), torch.sigmoid(b)
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


def kl_gauss(m1, lv1, m2, lv2):
    v1, v2 = lv1.exp(), lv2.exp()
    return 0.5 * (torch.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)


def laplace_logcdf_pos(x):
    return torch.log(1 - 0.5 * torch.exp(-x))


def student_t(x):
    nu = 4.0
    return -(nu + 1) / 2 * torch.log(1 + x**2 / nu)


def cauchy_logpdf(x):
    return -torch.log(math.pi * (1 + x * x))


def gumbel_logcdf(x):
    return torch.log(torch.exp(-torch.exp(-x)))


def gumbel_sf(x):
    return 1.0 - torch.exp(-torch.exp(-x))


def gmm(x, mu, logit):
    w = logit.softmax(-1)
    comp = torch.exp(-0.5 * (x[:, None] - mu) ** 2) / math.sqrt(2 * math.pi)
    return torch.log((w * comp).sum(-1))


def loglik_prod(p):
    return torch.log(torch.prod(p, dim=-1))


def von_mises_norm(k):
    return torch.log(2 * math.pi * torch.special.i0(k))


def logit(p):
    return torch.log(p / (1 - p))


def logit_of_softmaxed(x):
    p = torch.sigmoid(x)
    return torch.log(p) - torch.log(1 - p)


def inverse_mills(x):
    pdf = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    cdf = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    return pdf / cdf


def squash_correction(u):
    a = torch.tanh(u)
    return torch.log(1 - a.pow(2)).sum(-1)


def responsibilities(x, mu):
    lik = torch.exp(-((x.unsqueeze(-1) - mu) ** 2) / 2)
    return lik / lik.sum(-1, keepdim=True)


def trunc_norm_z(a, b):
    def cdf(t):
        return 0.5 * (1 + torch.erf(t / math.sqrt(2)))

    return torch.log(cdf(b) - cdf(a))


def lognormal_var(mu, s2):
    return (torch.exp(s2) - 1) * torch.exp(2 * mu + s2)


def log_sech(x):
    return torch.log(1 / torch.cosh(x))


def poisson_logpmf(k, lam):
    return torch.log(lam**k * torch.exp(-lam))


def binom_ll(x, k):
    p = 1 / (1 + (-x).exp())
    return k * p.log() + (20.0 - k) * torch.log1p(-p)


def bhattacharyya(a, b):
    return -torch.log((a.softmax(-1) * b.softmax(-1)).sqrt().sum(-1))


def gauss_logpdf(x, s):
    return torch.log(torch.exp(-((x / s) ** 2) / 2) / (s * (2 * math.pi) ** 0.5))


def laplace_logpdf(x):
    return torch.log(0.5 * torch.exp(-x.abs()))


MASK = [[True, True, False, True], [False] * 4, [True, False, False, False], [True] * 4]
MID = [-6.0, -3.0, -1.0, 0.0, 0.5, 2.0, 7.0]
SAME = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]


LOSSES_AND_DISTRIBUTIONS = [
    Unstable("margin logistic", margin_logistic, (WIDE, SIGN), trained=(0,)),
    Unstable("margin logistic small", margin_logistic, ([20.0, 30.0, 40.0, 80.0], [1.0] * 4), trained=(0,)),
    Unstable("logistic in bits", logistic_bits, (WIDE, SIGN), trained=(0,)),
    Unstable("bce by helper", bce_helper, (WIDE, ZERO_ONE), trained=(0,)),
    Unstable("soft ce", soft_ce, (LOGITS, ONEHOT), trained=(0,)),
    Unstable("label smoothing", label_smoothing, (LOGITS, ONEHOT), trained=(0,)),
    Unstable("focal", focal, (WIDE, ZERO_ONE), trained=(0,)),
    Unstable("poly-1 loss", poly1, (LOGITS,)),
    Unstable("nll from probabilities", nll_probs, (LOGITS,)),
    Unstable("distillation", distill, (LOGITS, OTHER)),
    Unstable("Jensen-Shannon", jsd, (LOGITS, OTHER)),
    Unstable("Jeffreys", jeffreys, (LOGITS, OTHER)),
    Unstable("pseudo-Huber small", pseudo_huber, ([1e-5, 3e-4, 1e-3, -2e-3],)),
    Unstable("pseudo-Huber large", pseudo_huber, ([1e25, -3e24, 2e25],)),
    Unstable("log-cosh", logcosh_loss, (WIDE, [0.5] * 11)),
    Unstable("log-cosh small", logcosh_loss, ([1e-4, -3e-4, 2e-3], [0.0] * 3)),
    Unstable("Charbonnier large", charbonnier, ([1e22, -3e22, 2.0], [0.0, 1e22, 1.0])),
    Unstable("smooth max", smooth_max, (LOGITS,)),
    Unstable("triplet at zero", triplet, (BIGVEC[2:], BIGVEC[2:], BIGVEC2[2:]), gradient=False),
    Unstable(
        "InfoNCE of cosines", info_nce, ([[1.0, 2.0, 2.0], [-3.0, 0.5, 1.0]], [[-1.0, -2.0, -1.9], [3.0, -0.5, 0.5]])
    ),
    Unstable(
        "NT-Xent",
        nt_xent,
        ([[100.0, 90.0, 80.0, -20.0], [60.0, 1.0, 90.0, 0.0], [1.0, 2.0, 3.0, 4.0], [-70.0, -60.0, -80.0, 5.0]],),
    ),
    Unstable("SupCon", supcon, (LOGITS, SAME), trained=(0,)),
    Unstable("CLIP", clip_loss, (LOGITS,)),
    Unstable("ArcFace sine", arcface_sine, ([0.99999, -0.999999, 0.9999999],)),
    Unstable("wing small", wing, (TINY,)),
    Unstable("Cauchy loss", cauchy_loss, ([1e25, 3.0, -1e22],)),
    Unstable("Geman-McClure", geman, ([1e20, -3e25, 2.0, 0.1],)),
    Unstable("Welsch", welsch, ([1e-4, -3e-4, 1e-3],)),
    Unstable("DPO", dpo, (WIDE, WIDE[::-1], [1.0] * 11, [2.0] * 11)),
    Unstable("Bradley-Terry", bradley_terry, (WIDE, [3.0] * 11)),
    Unstable("ListMLE", listmle, (LOGITS,)),
    Unstable("noisy or", noisy_or, ([[-30.0, -25.0, -40.0], [1.0, 20.0, -3.0], [-90.0, -88.0, -100.0]],)),
    Unstable("zero-inflated Poisson", zip_zero, ([-200.0, -3.0, 4.0, 150.0], [150.0, 2.0, 130.0, 1.0])),
    Unstable("energy score", energy_ood, (LOGITS,)),
    Unstable("softplus in place", hinge_softened, (WIDE,)),
    Unstable("ordinal", ordinal, ([-120.0, -30.0, -2.0, 0.0, 3.0, 25.0, 140.0],)),
    Unstable("log normal cdf", log_normal_cdf, ([-30.0, -12.0, -6.0, -1.0, 0.5, 4.0],)),
    Unstable("normal survival", normal_sf, ([4.0, 5.0, 6.0],)),
    Unstable("log ndtr", log_ndtr, ([-40.0, -15.0, -7.0, 0.0, 2.0],)),
    Unstable("log erfc", log_erfc, ([12.0, 25.0, 3.0, -1.0],)),
    Unstable("1 - erf", one_minus_erf, ([3.0, 3.5, 4.0],)),
    Unstable("log exponential cdf", log_exp_cdf, ([1e-9, 1e-4, 1.0, 50.0], [2.0, 0.5, 3.0, 1.0])),
    Unstable("Weibull cdf", weibull_cdf, ([1e-6, 1e-5, 3e-5],)),
    Unstable("geometric pmf", geometric_logpmf, (WIDE, [3.0] * 11), trained=(0,)),
    Unstable("Bernoulli entropy", bern_entropy, ([20.0, 25.0, 30.0],)),
    Unstable("Bernoulli entropy wide", bern_entropy, (WIDE,)),
    Unstable("categorical entropy", cat_entropy, (LOGITS,)),
    Unstable("KL Bernoulli", kl_bern, (WIDE, WIDE[::-1])),
    Unstable("KL Gaussian", kl_gauss, ([0.0, 1.0, 2.0], [-100.0, 30.0, 0.5], [0.5, -1.0, 2.5], [-90.0, 34.0, 0.1])),
    Unstable("Laplace cdf", laplace_logcdf_pos, ([15.0, 18.0, 20.0],)),
    Unstable("Student t", student_t, ([1e21, -3e24, 2.0],)),
    Unstable("Student t small", student_t, ([1e-3, -3e-4, 2e-3],)),
    Unstable("Cauchy density", cauchy_logpdf, ([1e21, -3e24, 2.0],)),
    Unstable("Gumbel log cdf", gumbel_logcdf, ([-6.0, -5.0, 0.0, 3.0],)),
    Unstable("Gumbel survival", gumbel_sf, ([12.0, 16.0, 20.0, 40.0],)),
    Unstable("Gaussian mixture", gmm, ([40.0, -60.0, 0.5], [-1.0, 2.0, 30.0], [0.5, -1.0, 2.0])),
    Unstable("likelihood by product", loglik_prod, ([[1e-20, 1e-15, 1e-12, 0.5], [0.3, 0.2, 0.9, 1.0]],)),
    Unstable("von Mises", von_mises_norm, ([1e-3, 5.0, 120.0, 900.0],)),
    Unstable("logit", logit, ([1e-30, 1e-6, 0.5001, 0.3, 0.999],)),
    Unstable("logit of sigmoid", logit_of_softmaxed, (WIDE,)),
    Unstable("inverse Mills ratio", inverse_mills, ([-30.0, -10.0, -5.0, 0.0, 2.0],)),
    Unstable("squash correction", squash_correction, ([[0.5, 12.0], [-30.0, 4.0], [100.0, -0.1]],)),
    Unstable("responsibilities", responsibilities, ([30.0, -50.0, 0.3], [-1.0, 0.0, 2.0])),
    Unstable("truncated normal", trunc_norm_z, ([6.0, -10.0, -1.0], [7.0, -8.0, 1.0])),
    Unstable("lognormal variance", lognormal_var, ([0.1, -0.5, 1.0], [1e-7, 1e-6, 3e-6])),
    Unstable("log sech", log_sech, (WIDE,)),
    Unstable("Poisson pmf", poisson_logpmf, ([3.0, 60.0, 200.0], [150.0, 20.0, 190.0]), trained=(1,)),
    Unstable("binomial", binom_ll, (WIDE, [5.0] * 11), trained=(0,)),
    Unstable("Bhattacharyya", bhattacharyya, (LOGITS, OTHER)),
    Unstable("Gaussian log density", gauss_logpdf, ([50.0, -1.0, 3e3], [1.0, 2.0, 0.7])),
    Unstable("Laplace log density", laplace_logpdf, ([200.0, -150.0, 3.0],)),
]
