"""log1p, expm1, probabilities and their losses, by somebody who had not seen the rules."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.unstable import Unstable

Z = [-400.0, -95.0, -20.0, -2.5, -0.03125, 0.0, 0.75, 6.0, 19.0, 92.0, 350.0]
MID = [-60.0, -40.0, -18.0, -3.0, -0.25, 0.0, 0.5, 4.0, 19.0, 35.0, 60.0]
BITS01 = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
ROWS = [[500.0, 498.5, -3.0], [-700.0, -701.0, -695.5], [0.25, 1.5, -1.0], [90.0, 89.0, -90.0]]
ROWS2 = [[-120.0, -118.5, 130.0], [20.0, 24.0, 22.5], [0.5, -0.5, 0.125], [300.0, 100.0, 299.0]]
SMALL = [-3e-5, -2e-6, 4e-7, 1e-6, 5e-6, 2e-5, 9e-5]
SMALLER = [1e-8, 3e-8, 2e-7, 6e-7, 2e-6]


def compound(rate):
    return (1 + rate) ** 24 - 1


def nerf_alpha(sigma, delta):
    return 1.0 - torch.exp(-F.relu(sigma) * delta)


def nerf_weights(tau):
    alpha = 1 - torch.exp(-tau)
    trans = torch.exp(-torch.cumsum(tau, dim=-1))
    return alpha * trans


class Softplus(nn.Module):
    beta = 2.0

    def forward(self, x):
        return torch.log(torch.exp(self.beta * x) + 1) / self.beta


def softplus_thresholded(x):
    return torch.where(x > 20.0, x, torch.log(1 + torch.exp(x)))


def inverse_softplus(y):
    return y.exp().sub(1).log()


def bpr(user, item_pos, item_neg):
    pos = (user * item_pos).sum(-1)
    neg = (user * item_neg).sum(-1)
    return -(pos - neg).sigmoid().log().mean()


def dpo(pc, pr, rc, rr, beta=0.5):
    logits = (pc - pr) - (rc - rr)
    return -torch.log(torch.sigmoid(beta * logits)).mean()


def skipgram(center, context, noise):
    good = torch.log(torch.sigmoid((center * context).sum(-1)))
    bad = torch.log(1 - torch.sigmoid((center * noise).sum(-1)))
    return -(good + bad)


def gan_d(real, fake):
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    return -(d_real.log().mean() + torch.rsub(d_fake, 1).log().mean())


def noisy_or(x):
    return torch.log(torch.prod(1 - torch.sigmoid(x), dim=-1))


class SigmoidBCE(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Sigmoid()
        self.loss = nn.BCELoss(reduction="sum")

    def forward(self, x, y):
        return self.loss(self.head(x), y)


def bce_by_abs(x, y):
    p = torch.sigmoid(x)
    return -torch.log(torch.abs(1 - y - p)).mean()


def bce_by_where(x, y):
    p = x.sigmoid()
    return torch.where(y == 1, p, 1 - p).log().neg()


def bernoulli_likelihood(x, y):
    p = 1 / (1 + torch.exp(-x))
    return torch.log(p**y * (1 - p) ** (1 - y))


def weighted_bce(x, y, pos_weight=3.0):
    prob = torch.special.expit(x)
    loss = pos_weight * y * torch.log(prob)
    loss = loss + (1.0 - y) * torch.log(1.0 - prob)
    return loss.neg().mean()


def bce_with_eps(x, y):
    p = torch.sigmoid(x)
    return -(y * torch.log(p + 1e-8) + (1 - y) * torch.log(1 - p + 1e-8))


def kl_categorical(x, y):
    p = torch.softmax(x, -1)
    q = torch.softmax(y, -1)
    return torch.sum(p * (p / q).log(), dim=-1)


def jensen_shannon(x, y):
    p, q = x.softmax(1), y.softmax(1)
    m = 0.5 * (p + q)
    left = (p * (p.log() - m.log())).sum(1)
    right = (q * (q.log() - m.log())).sum(1)
    return (left + right) / 2


def kl_bernoulli(a, b):
    p, q = torch.sigmoid(a), torch.sigmoid(b)
    return p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))


def kl_functional(x, y):
    student = torch.log(torch.softmax(x, -1))
    return F.kl_div(student, torch.softmax(y, -1), reduction="batchmean")


def renyi(x, y, order=0.5):
    p, q = F.softmax(x, -1), F.softmax(y, -1)
    return torch.log((p**order * q ** (1 - order)).sum(-1)) / (order - 1)


def entropy_of_logits(x):
    p = torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)
    return -(p * torch.log(p)).sum(-1)


def binary_entropy(x):
    p = torch.sigmoid(x)
    return -(p * torch.log2(p) + (1 - p) * torch.log2(1 - p))


def bald(x):
    p = x.softmax(-1)
    total = p.mean(0)
    return -(total * total.log()).sum() + (p * p.log()).sum(-1).mean()


def perplexity(x):
    p = x.softmax(dim=-1)
    return torch.exp(-torch.sum(p * torch.log(p), dim=-1))


PROBABILITIES = [
    Unstable("expm1: compound interest", compound, (SMALLER,)),
    Unstable("expm1: nerf alpha", nerf_alpha, ([1e-5, 2e-6, 5e-7], [0.125, 0.25, 0.0625])),
    Unstable("expm1: nerf weights", nerf_weights, ([[1e-6, 2e-5, 3e-6, 1e-5], [3e-5, 1e-6, 2e-6, 4e-6]],)),
    Unstable("expm1: powers of ten", lambda x: 10**x - 1, (SMALL,)),
    Unstable("expm1: over x", lambda x: (x.exp() - 1) / x, (SMALL,)),
    Unstable("softplus: module with beta", Softplus(), (Z,)),
    Unstable("softplus: log1p of exp", lambda x: 1e-3 + torch.log1p(torch.exp(x)), (Z,)),
    Unstable("softplus: behind a threshold", softplus_thresholded, (Z,)),
    Unstable("softplus: inverse", inverse_softplus, ([1e-6, 3e-5, 0.5, 3.0, 50.0, 200.0],)),
    Unstable("softplus: mish", lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))), (Z,)),
    Unstable("log-sigmoid: tanh", lambda x: torch.log(0.5 * (1 + torch.tanh(0.5 * x))), (Z,)),
    Unstable("log-sigmoid: of a quotient", lambda x: (1 / (1 + (-x).exp())).log(), (Z,)),
    Unstable(
        "log-sigmoid: BPR", bpr, ([[20.0, 3.0], [1.0, -2.0]], [[-6.0, 2.0], [30.0, 1.0]], [[5.0, 1.0], [-40.0, 8.0]])
    ),
    Unstable(
        "log-sigmoid: DPO",
        dpo,
        ([-300.0, -20.0, -5.0], [-50.0, -120.0, -4.0], [-100.0, -22.0, -6.0], [-90.0, -80.0, -5.5]),
    ),
    Unstable(
        "log-sigmoid: skip-gram",
        skipgram,
        ([[8.0, 4.0], [1.0, -3.0]], [[-12.0, -5.0], [2.0, 1.0]], [[9.0, 6.0], [0.5, -2.0]]),
    ),
    Unstable("1 - sigmoid: discriminator", gan_d, ([-120.0, 3.0, 40.0], [130.0, 18.0, -2.0])),
    Unstable("1 - sigmoid: plain", lambda x: torch.sub(1, torch.sigmoid(x)), ([17.0, 18.5, 20.0, 22.0, 19.0],)),
    Unstable("1 - sigmoid: noisy or", noisy_or, ([[20.0, -3.0, 40.0], [110.0, 1.0, 90.0]],)),
    Unstable("BCE: module", SigmoidBCE(), (MID, BITS01), trained=(0,)),
    Unstable("BCE: absolute difference", bce_by_abs, (Z, BITS01), trained=(0,)),
    Unstable("BCE: where", bce_by_where, (Z, [1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0])),
    Unstable("BCE: likelihood by powers", bernoulli_likelihood, (Z, BITS01), trained=(0,)),
    Unstable(
        "BCE: weighted, soft labels",
        weighted_bce,
        (Z, [1.0, 0.125, 0.5, 0.0, 1.0, 0.75, 0.0, 1.0, 0.25, 0.5, 0.0]),
        trained=(0,),
    ),
    Unstable("BCE: with eps", bce_with_eps, (MID, BITS01), trained=(0,)),
    Unstable("KL: categorical", kl_categorical, (ROWS, ROWS2)),
    Unstable("KL: Jensen-Shannon", jensen_shannon, (ROWS, ROWS2)),
    Unstable("KL: Bernoulli", kl_bernoulli, ([100.0, -50.0, 2.0, 20.0], [-20.0, 60.0, 1.0, 40.0])),
    Unstable("KL: functional", kl_functional, (ROWS, ROWS2)),
    Unstable("KL: Renyi", renyi, ([[300.0, -3.0, 90.0], [1.0, 2.0, -1.0]], [[-200.0, 100.0, -90.0], [0.5, -0.5, 3.0]])),
    Unstable("entropy: of logits", entropy_of_logits, (ROWS,)),
    Unstable("entropy: bits of a coin", binary_entropy, (MID,)),
    Unstable("entropy: BALD", bald, ([[120.0, 119.0, -3.0], [-2.0, 110.0, 108.5]],)),
    Unstable("entropy: perplexity", perplexity, (ROWS2,)),
]
