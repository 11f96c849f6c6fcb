"""Softmax, its logarithm, and what is added up as exponentials, by somebody who had not seen the rules."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.unstable import Unstable

ROWS = [[500.0, 498.5, -3.0], [-700.0, -701.0, -695.5], [0.25, 1.5, -1.0], [90.0, 89.0, -90.0]]
ROWS2 = [[-120.0, -118.5, 130.0], [20.0, 24.0, 22.5], [0.5, -0.5, 0.125], [300.0, 100.0, 299.0]]
PAIR = [[200.0, 198.0, 201.5], [-150.0, -149.0, -155.0]]
PICK = [1, 2, 0, 1]
HOT = [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
VALID = [[True, True, False], [False, True, True], [False, False, False], [True, True, True]]
SMALL = [-3e-5, -2e-6, 4e-7, 1e-6, 5e-6, 2e-5, 9e-5]
TINIEST = [1e-12, 4e-11, 7e-10, 3e-9]


def boltzmann(energy):
    beta = 32.0
    weights = torch.exp(-beta * energy)
    partition = torch.sum(weights, dim=-1, keepdim=True)
    return weights / partition


def through_partition(x):
    log_z = torch.log(x.exp().sum(1, keepdim=True))
    return torch.exp(x - log_z)


def pairwise_softmax(x):
    diff = x.unsqueeze(1) - x.unsqueeze(2)
    return 1.0 / diff.exp().sum(-1)


def choice_probability(u1, u2):
    e1, e2 = torch.exp(u1), torch.exp(u2)
    return e1 / (e1 + e2)


def masked_by_product(scores, mask):
    num = scores.exp() * mask
    den = num.sum(dim=-1, keepdim=True)
    return num / den


def sparse_attention(s, valid):
    e = torch.where(valid, s.exp(), torch.zeros_like(s))
    return e / (e.sum(-1, keepdim=True) + 1e-9)


def attention_no_nan(s, valid):
    p = torch.softmax(s.masked_fill(~valid, float("-inf")), dim=-1)
    return torch.where(valid.any(dim=-1, keepdim=True), p, 0.0)


def attention_filled(s, valid):
    w = s.masked_fill(valid.logical_not(), -math.inf).exp()
    w = w / w.sum(dim=-1, keepdim=True)
    return w.masked_fill(valid.sum(-1, keepdim=True) == 0, 0.0)


def softmax_stacked(a, b, c):
    e = torch.stack((a, b, c), dim=0).exp()
    return e.div(e.sum(dim=0))


def softmax_one(x):
    e = torch.exp(x)
    return e / (1 + e.sum(-1, keepdim=True))


class GumbelSoftmax(nn.Module):
    def __init__(self, tau):
        super().__init__()
        self.tau = tau

    def forward(self, logits, u):
        g = -torch.log(-torch.log(u))
        y = torch.exp((logits + g) / self.tau)
        return y / y.sum(dim=1, keepdim=True)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Softmax(dim=1)

    def forward(self, x, y):
        logp = torch.log(self.act(x))
        return -logp[torch.arange(4), y]


def log_share(x):
    a, b, c = x.exp().unbind(dim=-1)
    return (b / (a + b + c)).log()


def normalised_logits(x):
    return x - torch.log(torch.sum(torch.exp(x), axis=-1))[..., None]


def surprisal_bits(x):
    return -torch.log2(F.softmax(x, dim=-1))


def nll_of_probs(x, y):
    probs = torch.exp(x) / torch.exp(x).sum(1).view(-1, 1)
    return F.nll_loss(probs.log(), y)


def ce_of_product(x, y):
    return -torch.log((torch.softmax(x, -1) * y).sum(-1)).mean()


def distill(student, teacher):
    t = 4.0
    q = torch.softmax(teacher / t, 1)
    p = torch.softmax(student / t, 1)
    return -(q * torch.log(p)).sum(1).mean() * t**2


def tempered(x):
    return F.softmax(x * 8, -1).log().div(8)


def smoothed_ce(x, y):
    eps = 0.125
    logp = (x.exp() / x.exp().sum(-1, keepdim=True)).log()
    nll = -logp.gather(dim=-1, index=y.unsqueeze(1)).squeeze(1)
    return (1 - eps) * nll - eps * logp.mean(dim=-1)


def soft_max_value(q, tau=0.125):
    return tau * torch.log(torch.sum(torch.exp(q / tau), -1))


def iwae(log_w):
    return torch.log(torch.mean(torch.exp(log_w), dim=0)).mean()


def hmm_forward(start, trans, obs):
    alpha = start
    for t in range(3):
        alpha = torch.log((alpha[:, None] + trans).exp().sum(0)) + obs[t]
    return alpha


def log_matmul(a, b):
    return torch.log(torch.mm(torch.exp(a), torch.exp(b)))


def lse_of_squares(x):
    return (torch.exp(x) ** 2).sum(-1).log()


def mixture_of_two(a, b):
    return torch.log(0.25 * torch.exp(a) + 0.75 * torch.exp(b))


def decibel_sum(a, b):
    return 10 * torch.log10(10 ** (a / 10) + 10 ** (b / 10))


def zlpr(x, y):
    neg = (torch.exp(x) * (1 - y)).sum(-1)
    pos = (torch.exp(-x) * y).sum(-1)
    return torch.log(1 + neg) + torch.log(1 + pos)


def circle_loss(sp, sn):
    return torch.log(1 + torch.exp(sn * 16).sum(-1) * torch.exp(-sp * 16).sum(-1))


SOFTMAXES = [
    Unstable("softmax: boltzmann weights", boltzmann, ([[12.25, 12.3125, 12.5], [-9.0, -8.9375, -8.96875]],)),
    Unstable("softmax: through its log partition", through_partition, (ROWS,)),
    Unstable(
        "softmax: one over a sum of differences", pairwise_softmax, ([[200.0, 198.0, 60.0], [-150.0, -149.0, -155.0]],)
    ),
    Unstable("softmax: two utilities", choice_probability, ([100.0, -120.0, 3.0, 92.0], [99.0, -118.0, 4.0, -90.0])),
    Unstable("softmax: power of e", lambda x: math.e**x / (math.e**x).sum(-1, keepdim=True), (PAIR,)),
    Unstable(
        "softmax: exp2",
        lambda x: torch.exp2(x) / torch.exp2(x).sum(dim=0),
        ([[160.0, -3.0], [161.0, -140.0], [158.5, -200.0]],),
    ),
    Unstable(
        "softmax: mask as a factor",
        masked_by_product,
        (
            [[2.0, 1.0, 500.0], [-200.0, 90.0, -201.0], [88.0, 90.0, 91.0]],
            [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]],
        ),
        trained=(0,),
    ),
    Unstable(
        "softmax: where, eps, a row without keys",
        sparse_attention,
        ([[200.0, 198.0, 50.0], [5.0, -22.0, -20.0], [7.0, 300.0, 1.0], [1.0, 2.0, 3.0]], VALID),
    ),
    Unstable("softmax: where over a row of nan", attention_no_nan, (ROWS, VALID)),
    Unstable("softmax: by hand, row of nan filled", attention_filled, (ROWS, VALID)),
    Unstable("softmax: stacked", softmax_stacked, ([300.0, -200.0, 1.0], [301.0, -203.0, 0.5], [-10.0, -201.0, 0.25])),
    Unstable("softmax: off by one", softmax_one, ([[-30.0, 120.0, 119.0], [-3.0, -1.0, -200.0], [0.5, 1.0, -0.5]],)),
    Unstable(
        "gumbel softmax",
        GumbelSoftmax(0.25),
        ([[23.0, 24.0, 22.5], [-40.0, -29.5, -28.0]], [[0.25, 0.5, 0.75], [0.9999999, 1e-6, 0.125]]),
        trained=(0,),
    ),
    Unstable("log-softmax: module and indexing", Classifier(), (ROWS, PICK)),
    Unstable("log-softmax: unbound share", log_share, (ROWS,)),
    Unstable("log-softmax: normalised logits", normalised_logits, (ROWS2,)),
    Unstable("log-softmax: bits", surprisal_bits, (ROWS,)),
    Unstable("log-softmax: temperature", tempered, ([[30.0, 10.0, 5.0], [-2.0, -50.0, 1.0]],)),
    Unstable("cross-entropy: nll of probabilities", nll_of_probs, (ROWS, PICK)),
    Unstable("cross-entropy: one-hot before the log", ce_of_product, (ROWS2, HOT), trained=(0,)),
    Unstable("cross-entropy: distillation", distill, (ROWS, ROWS2)),
    Unstable("cross-entropy: smoothed", smoothed_ce, (ROWS2, PICK)),
    Unstable(
        "log-sum-exp: soft value", soft_max_value, ([[20.0, 19.5, 3.0], [-15.0, -15.125, -30.0], [0.0, 0.125, 0.25]],)
    ),
    Unstable("log-sum-exp: IWAE", iwae, ([[-300.0, 95.0], [-301.0, 93.5], [-305.0, -20.0]],)),
    Unstable(
        "log-sum-exp: HMM forward",
        hmm_forward,
        ([-60.0, -61.0], [[-0.25, -1.5], [-2.0, -0.125]], [[-50.0, -47.0], [-2.0, -1.0], [3.0, 5.0]]),
    ),
    Unstable(
        "log-sum-exp: log matmul",
        log_matmul,
        ([[120.0, -3.0, 100.0], [-90.0, -95.0, -91.0]], [[4.0, -80.0], [110.0, -70.0], [2.0, -75.0]]),
    ),
    Unstable("log-sum-exp: weighted", lambda x, w: torch.log((w * torch.exp(x)).sum(-1)), (PAIR, [0.5, 0.125, 0.375])),
    Unstable("log-sum-exp: of squares", lse_of_squares, ([[70.0, 69.0, -1.0], [-60.0, -58.0, -59.0]],)),
    Unstable("log-sum-exp: of two axes", lambda x: torch.log(x.exp().sum(dim=(0, 1))), (ROWS2,)),
    Unstable(
        "log-sum-exp: difference",
        lambda a, b: torch.log(torch.exp(a) - torch.exp(b)),
        ([200.0, -150.0, 3.0, 90.0], [199.0, -151.0, 2.875, 20.0]),
    ),
    Unstable(
        "log-sum-exp: signed softmin",
        lambda d: -torch.log(torch.exp(-d).sum(1)),
        ([[300.0, 305.0, 299.0], [120.0, 121.0, 140.0]],),
    ),
    Unstable("logaddexp: mixture of two", mixture_of_two, ([100.0, -120.0, 3.0, -400.0], [99.0, -119.0, 0.5, 0.0])),
    Unstable("logaddexp: bits", lambda a, b: torch.log2(2**a + 2**b), ([130.0, -152.0, 3.0], [131.0, -152.5, -2.0])),
    Unstable("logaddexp: decibels", decibel_sum, ([390.0, -460.0, 30.0, 400.0], [387.0, -470.0, 32.0, -400.0])),
    Unstable(
        "ZLPR multi-label loss",
        zlpr,
        (ROWS2, [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]),
        trained=(0,),
    ),
    Unstable(
        "circle loss",
        circle_loss,
        ([[4.0, 3.0], [-5.0, -4.5], [0.125, 0.25]], [[-3.0, -2.0], [6.0, 5.0], [0.0, 0.125]]),
    ),
    Unstable("log1p: capacity at low signal", lambda snr: 0.5 * torch.log2(1 + snr), (TINIEST,)),
    Unstable("log1p: minus", lambda x: -torch.log(1.0 - x), (SMALL,)),
    Unstable("log1p: over x", lambda x: torch.log(1 + x) / x, (SMALL,)),
]
