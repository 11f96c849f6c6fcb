"""Unstable expressions once more, over the families that the issue names, in float32 and in half precision.

By the hand of ``unseen_practice_left``, who had not seen the rules. Torch alone is wrong for each, in value or
gradient, by much more than another rounding of the inputs would explain.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.collected import Rows, kept_aside

ROWS = row = Rows("practice: ")
LOW = ROWS.low
HALF, BRAIN = torch.float16, torch.bfloat16
TINY = 1e-100  # more than the step of a difference that stands for a derivative


def held_out(name: str) -> bool:
    """Two of five rows were kept aside while the rules were mended."""
    return kept_aside("round 16", name, 0.4)


LOGITS = [[95.0, 101.0, -30.0, 2.0], [-150.0, -152.5, -149.0, -151.0], [0.5, 1.25, -2.0, 0.0]]
OTHER = [[100.0, 96.0, -10.0, 7.0], [-140.0, -139.0, -141.5, -143.0], [1.5, -0.25, 0.5, 2.0]]
HOT = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
CLASSES = [2, 3, 0]
SCORES = [-130.0, -25.0, 0.3, 33.0, 115.0]
LABELS = [1.0, 0.0, 1.0, 0.0, 1.0]
NEAR0 = [2e-7, -5e-6, 3e-9, 1.5e-4, -0.25]
VECTORS = [[-4e21, 2e22, 1e22], [3e-23, -1e-23, 5e-23], [2.0, 6.0, -3.0]]
VECTORS_TOO = [[1e22, 3e22, -5e21], [-2e-23, 4e-23, 1e-23], [1.0, -2.0, 2.0]]
OFFSET = [[1000.5, 1001.0, 1000.25, 999.5], [-4096.0, -4097.0, -4095.5, -4096.5], [0.5, 2.0, -1.0, 0.25]]
MASK = [[True, False, True, True], [False, False, False, False], [True, True, True, True]]


# --- softmax, log-softmax, cross-entropy ------------------------------------------------------------------------------
@row("softmax times the reciprocal of its sum", LOGITS)
def _(x):
    e = x.exp()
    return e * e.sum(-1, keepdim=True).reciprocal()


@row("softmax as a policy with a temperature", LOGITS)
class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.temperature = 0.25

    def forward(self, q):
        preference = torch.exp(q / self.temperature)
        return preference / preference.sum(dim=1)[:, None]


@row(
    "attention without its softmax",
    [[90.0, 3.0, 101.0], [-120.0, -118.0, -119.0]],
    [[1.0, 2.0], [0.5, -1.0], [3.0, 1.5]],
)
def _(scores, v):
    w = torch.exp(scores)
    return (w @ v) / w.sum(-1, keepdim=True)


@row("log2 of a softmax", LOGITS)
def _(x):
    return torch.log2(torch.softmax(x, dim=-1))


@row("surprise of the chosen", LOGITS, CLASSES)
def _(x, y):
    p = F.softmax(x, dim=1)
    return -p[torch.arange(3), y].log().mean()


@row("one-hot cross-entropy, module", LOGITS, HOT, trained=(0,))
class OneHot(nn.Module):
    def forward(self, x, hot):
        e = torch.exp(x)
        p = e / e.sum(1, keepdim=True)
        return -(hot * torch.log(p)).sum(1).mean()


@row("cross-entropy as log-sum less chosen", LOGITS, CLASSES)
def _(x, y):
    chosen = x.gather(1, y.unsqueeze(1)).squeeze(1)
    return (x.exp().sum(1).log() - chosen).mean()


@row(
    "additive mask, a row without keys",
    LOGITS,
    MASK,
    trained=(0,),
    expected=lambda x, seen: torch.where(
        seen, torch.exp(x) / (torch.where(seen, torch.exp(x), 0.0).sum(-1, keepdim=True) + TINY * TINY), 0.0
    ),
)
def _(x, seen):
    bias = torch.zeros(3, 4).masked_fill(~seen, float("-inf"))
    return torch.softmax(x + bias, dim=-1)


@row(
    "masked exponentials over their sum",
    LOGITS,
    MASK,
    trained=(0,),
    expected=lambda x, seen: torch.where(
        seen, torch.exp(x) / (torch.where(seen, torch.exp(x), 0.0).sum(-1, keepdim=True) + TINY * TINY), 0.0
    ),
)
def _(x, seen):
    e = torch.exp(x.masked_fill(~seen, -torch.inf))
    return e / e.sum(-1, keepdim=True)


# --- log-sum-exp and its like -----------------------------------------------------------------------------------------
@row("smooth maximum", LOGITS)
def _(x):
    return torch.log(torch.exp(4.0 * x).sum(-1)) / 4.0


@row("soft minimum of costs, a mean", [[400.0, 395.0, 500.0], [-300.0, -310.0, -305.0]])
def _(cost):
    return -2.0 * torch.log(torch.mean(torch.exp(-cost / 2.0), dim=-1))


@row("logaddexp of three", [95.0, -120.0, 3.0], [96.0, -119.0, 2.5], [90.0, -125.0, -1.0])
def _(a, b, c):
    return torch.log(torch.exp(a) + torch.exp(b) + c.exp())


@row("log of a weighted pair", [120.0, -110.0, 0.5], [118.0, -112.0, 2.0])
def _(a, b):
    return torch.log(0.3 * torch.exp(a) + 0.7 * torch.exp(b))


@row("logcumsumexp from the end", LOGITS)
def _(x):
    return torch.log(torch.cumsum(torch.exp(x.flip(-1)), dim=-1)).flip(-1)


# --- log1p, expm1 -----------------------------------------------------------------------------------------------------
@row("log of one plus a square", [3e-4, -2e-5, 1e-3, 0.5])
def _(x):
    return torch.log(1 + x * x)


@row("rate at low signal", [1e-6, 3e-8, 0.25, 2e-5], [0.5, 0.25, 2.0, 1.0])
def _(power, noise):
    return 0.5 * torch.log2(1 + power / noise)


@row("exponential integrator", [1e-5, -3e-6, 0.5, 2e-4])
def _(z):
    return (torch.exp(z) - 1) / z


@row("exponential integrator, second function", [1e-3, -3e-3, 0.5, 2e-2])
def _(z):
    return (torch.exp(z) - 1 - z) / z**2


@row("product of two exponentials less one", [1e-6, 3e-5, -2e-7], [2e-6, -1e-5, 5e-7])
def _(a, b):
    return torch.exp(a) * torch.exp(b) - 1


@row("chance of decay", [1e-7, 2e-5, 0.3], [2.0, 0.5, 1.5])
def _(rate, time):
    return 1.0 - torch.exp(-rate * time)


@row("selective scan: zero-order hold", [1e-4, 3e-6, 0.02], [-1.0, -2.5, -0.5])
def _(dt, a):
    return (torch.exp(dt * a) - 1.0) / a


# --- softplus, sigmoids, BCE ------------------------------------------------------------------------------------------
@row("softplus, the one behind", SCORES)
def _(x):
    return torch.log(torch.exp(x) + 1)


@row("logistic loss with signs", SCORES, [1.0, -1.0, 1.0, 1.0, -1.0], trained=(0,))
def _(x, y):
    return torch.log(1 + torch.exp(-y * x)).mean()


@row("log of one over one plus", SCORES)
def _(x):
    return torch.log(1 / (1 + torch.exp(-x)))


@row("derivative of a sigmoid", [30.0, -45.0, 0.5, 17.0])
def _(x):
    p = torch.sigmoid(x)
    return p * (1 - p)


@row("log of one minus a sigmoid by hand", SCORES)
def _(x):
    return torch.log(1 - 1 / (1 + torch.exp(-x)))


@row("BCE of a module's sigmoid, weighted", SCORES, LABELS, trained=(0,))
class Weighted(nn.Module):
    def __init__(self):
        super().__init__()
        self.activation = nn.Sigmoid()

    def forward(self, x, y):
        p = self.activation(x)
        return -(3.0 * y * torch.log(p) + (1.0 - y) * torch.log(1.0 - p)).mean()


@row("BCE of the second of two classes", [[50.0, -45.0], [-30.0, 28.0], [0.5, 1.0]], [1.0, 0.0, 1.0], trained=(0,))
def _(x, y):
    p = torch.softmax(x, dim=1)[:, 1]
    return F.binary_cross_entropy(p, y)


@row("odds of a sigmoid", [20.0, 60.0, -3.0, 0.5])
def _(x):
    p = torch.sigmoid(x)
    return p / (1 - p)


# --- KL, entropy ------------------------------------------------------------------------------------------------------
@row("KL of logarithms of softmaxes", LOGITS, OTHER)
def _(x, y):
    p, q = torch.softmax(x, -1), torch.softmax(y, -1)
    return (p * (p.log() - q.log())).sum(-1)


@row(
    "KL batchmean of a log of a softmax",
    LOGITS,
    [[0.25, 0.25, 0.5, 0.0], [0.0, 1.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]],
    trained=(0,),
)
def _(x, target):
    return F.kl_div(torch.log(F.softmax(x, dim=1)), target, reduction="batchmean")


@row("entropy of a policy", LOGITS)
def _(x):
    p = x.softmax(-1)
    return -(p * torch.log(p)).sum(-1).mean()


@row(
    "entropy of a distribution with zeros, in bits",
    [[0.5, 0.0, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]],
    gradient=False,
    expected=lambda p: -(torch.xlogy(p, p) / math.log(2)).sum(-1),
)
def _(p):
    return -(p * p.log2()).sum(-1)


@row("entropy of a Bernoulli of a logit", SCORES)
def _(x):
    p = torch.sigmoid(x)
    return -(p * p.log() + (1 - p) * (1 - p).log())


# --- variance, norms, cosine ------------------------------------------------------------------------------------------
@row("variance of sums, unbiased", OFFSET)
def _(x):
    count = x.shape[-1]
    return ((x**2).sum(-1) - x.sum(-1) ** 2 / count) / (count - 1)


@row("deviation by running moments", OFFSET)
class Moments(nn.Module):
    def forward(self, x):
        first, second = x.mean(1), torch.mean(x * x, 1)
        return torch.sqrt(second - first * first)


@row("length, its reciprocal", [3e21, -4e-22, 3.0], [-4e21, 3e-22, 4.0])
def _(x, y):
    return 1 / torch.sqrt(x * x + y * y)


@row("mean distance, one of them none", [[1.0, 2.0, 3.0], [0.5, 0.5, 0.5]], [[1.0, 2.0, 3.0], [0.5, 0.25, 1.0]])
def _(a, b):
    return torch.sqrt(((a - b) ** 2).sum(-1)).mean()


@row("direction by rsqrt", VECTORS)
def _(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True))


@row("cosine distance by norms", VECTORS, VECTORS_TOO)
def _(a, b):
    below = torch.linalg.norm(a, dim=-1) * torch.linalg.norm(b, dim=-1)
    return 2 - (a * b).sum(-1) / below


# --- determinants, hyperbolics, means, gumbel -------------------------------------------------------------------------
@row("log of a determinant's size", [[[3e-16, 1e-17, 0.0], [2e-17, -2e-16, 1e-17], [0.0, 1e-17, 4e-15]]])
def _(a):
    return torch.log(torch.abs(torch.det(a)))


@row("fisher's z", [2e-6, -1e-7, 0.75, 4e-5])
def _(r):
    return 0.5 * (torch.log(1 + r) - torch.log(1 - r))


@row("asinh with its sign", [2e-6, -4e-5, 30.0, -2500.0, 3e21])
def _(x):
    return torch.sign(x) * torch.log(x.abs() + torch.sqrt(x * x + 1))


@row("BLEU of four precisions", [1e-12, 0.5], [1e-11, 0.25], [2e-12, 0.125], [1e-13, 0.5])
def _(a, b, c, d):
    return (a * b * c * d) ** 0.25


@row("gumbel log distribution", [-3.0, 0.5, -5.0, 20.0])
def _(x):
    return torch.log(torch.exp(-torch.exp(-x)))


@row(
    "gumbel softmax with a temperature", LOGITS, [[0.5, -0.25, 1.5, 2.0], [0.1, 0.2, -0.3, 0.4], [1.0, 0.0, -1.0, 0.5]]
)
def _(x, noise):
    y = torch.exp((x + noise) / 0.5)
    return y / y.sum(dim=-1, keepdim=True)


# --- the gradient of where, and others --------------------------------------------------------------------------------
@row(
    "where: root of what is positive",
    [0.0, 4.0, -1.0, 0.25],
    expected=lambda x: torch.where(x > TINY, torch.sqrt(torch.where(x > TINY, x, 1.0)), 0.0),
)
def _(x):
    return torch.where(x > 0, x.sqrt(), torch.zeros_like(x))


@row("where: quotient by what is not 0", [1.0, -2.0, 3.0], [0.0, 4.0, -0.5], trained=(0,))
def _(a, b):
    return torch.where(b != 0, a / b, torch.zeros_like(a))


@row("where: exponential tail", [200.0, 2.0, -3.0, 95.0])
def _(x):
    return torch.where(x < 1, torch.exp(x), 1 + x)


@row("half a versine", [1e-4, -3e-5, 0.5, 2e-3])
def _(angle):
    return (1 - torch.cos(angle)) / 2


@row("root of neighbours, halves", [1e5, 3e7, 2.0])
def _(x):
    return torch.sqrt(x + 0.5) - torch.sqrt(x)


@row("sine less its angle", [1e-2, -3e-2, 0.5])
def _(x):
    return x - torch.sin(x)


# --- half precision ---------------------------------------------------------------------------------------------------
@row("mean of squares", [[300.0, -200.0, 100.0, 150.0], [1e-3, 3e-3, -2e-3, 1e-3]], dtype=HALF)
def _(x):
    return (x * x).sum(-1) / 4


@row("softmax by hand", [[12.0, 13.5, 2.0], [-18.0, -20.0, -17.5]], dtype=HALF)
def _(x):
    e = torch.exp(x)
    return e / e.sum(-1, keepdim=True)


@row("log of a sum of exponentials", [[12.0, 11.5, 3.0], [-19.0, -18.0, -20.0]], dtype=HALF)
def _(x):
    return torch.log(torch.exp(x).sum(dim=-1))


@row("length of a row", [[400.0, -300.0, 25.0], [2e-4, 1e-4, -4e-4]], dtype=HALF)
def _(x):
    return torch.sqrt((x**2).sum(dim=-1))


@row("variance by moments", [[20.5, 21.0, 19.5, 20.0], [0.5, 1.0, -1.0, 2.0]], dtype=HALF)
def _(x):
    return (x * x).mean(-1) - x.mean(-1) ** 2


@row("logistic loss", [-15.0, 14.0, 2.0, -0.5], dtype=HALF)
def _(x):
    return torch.log(1 + torch.exp(-x))


@row("entropy of a coin's logit", [9.0, -12.0, 0.5], dtype=HALF)
def _(x):
    p = torch.sigmoid(x)
    return -(p * p.log() + (1 - p) * (1 - p).log())


@row("normalised by moments", [[30.0, 31.0, 29.5, 30.5], [1.0, 2.0, 0.5, -1.0]], dtype=BRAIN)
def _(x):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt((x * x).mean(-1, keepdim=True) - mean * mean)


@row(
    "cosine of large",
    [[250.0, -300.0, 100.0], [2.0, 1.0, -3.0]],
    [[300.0, 200.0, -150.0], [1.0, -1.0, 0.5]],
    dtype=HALF,
)
def _(a, b):
    return (a * b).sum(-1) / (torch.sqrt((a * a).sum(-1)) * torch.sqrt((b * b).sum(-1)))


@row("chance of decay, bfloat16", [1e-3, 3e-2, 0.5, 2e-4], dtype=BRAIN)
def _(x):
    return 1 - torch.exp(-x)


@row("log of one plus", [1e-3, -2e-3, 0.25, 3e-2], dtype=BRAIN)
def _(x):
    return torch.log(1 + x)


@row("KL of softmaxes", [[12.0, -3.0, 1.0], [0.5, 0.25, 0.0]], [[2.0, 11.0, 0.0], [0.0, 0.5, 1.0]], dtype=HALF)
def _(x, y):
    p, q = F.softmax(x, -1), F.softmax(y, -1)
    return (p * torch.log(p / q)).sum(-1)


@row("geometric mean of three", [2e-3, 500.0], [3e-3, 400.0], [1e-3, 300.0], dtype=HALF)
def _(a, b, c):
    return (a * b * c) ** (1 / 3)


@row("distance of far points", [[300.0, -200.0], [2e-3, 1e-3]], [[-100.0, 150.0], [1e-3, 3e-3]], dtype=HALF)
def _(a, b):
    return ((a - b) ** 2).sum(-1).sqrt()


@row("scores of one minus a probability", [4.0, 9.0, -3.0, 7.5], dtype=BRAIN)
def _(x):
    return torch.log(1 - torch.sigmoid(x))
