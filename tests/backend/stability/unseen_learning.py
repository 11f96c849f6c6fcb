"""Expressions of learning: policies, losses, parts of models, and some in half precision.

By somebody who had not seen the rules; for each row torch alone is wrong, in value or gradient.
"""

import math

import torch
from torch.nn import functional as F

from tests.backend.stability.unstable import Unstable

ROWS: list[Unstable] = []
LOW: list[tuple[Unstable, torch.dtype]] = []


def unstable(name, inputs, *, gradient=True, expected=None, trained=()):
    """Adds what is decorated to the rows."""

    def add(function):
        ROWS.append(Unstable(name, function, inputs, gradient, expected, trained))
        return function

    return add


def unstable_in(dtype, name, inputs, *, gradient=True, expected=None, trained=()):
    """Adds what is decorated to the rows in low precision."""

    def add(function):
        LOW.append((Unstable(name, function, inputs, gradient, expected, trained), dtype))
        return function

    return add


@unstable(
    "rl: log-prob of a squashed Gaussian policy",
    (
        [[0.3, -9.0, 4.0], [12.0, 0.1, -2.0]],
        [[-1.0, 0.0, -2.0], [-3.0, 0.2, -1.0]],
        [[0.5, -1.0, 0.1], [1.0, -0.3, 2.0]],
    ),
)
def _(mu, log_std, noise):
    std = log_std.exp()
    u = mu + std * noise
    action = torch.tanh(u)
    log_prob = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
    log_prob = log_prob - torch.log(1 - action.pow(2))
    return log_prob.sum(-1)


@unstable("rl: action back to before tanh", ([1e-6, -3e-5, 2e-4, 1e-7, -5e-6],))
def _(a):
    return 0.5 * (torch.log(1 + a) - torch.log(1 - a))


@unstable("rl: k3 estimator of the policy's KL", ([-1.0, -2.5, -0.7, -3.0], [-1.0002, -2.4997, -0.70005, -3.0003]))
def _(new, old):
    log_ratio = new - old
    ratio = torch.exp(log_ratio)
    return (ratio - 1) - log_ratio


@unstable("rl: sum of n discounts", ([0.999999, 0.9999, 0.99999994],))
def _(gamma):
    return (1 - gamma**5) / (1 - gamma)


@unstable("rl: entropy of the policy", ([[200.0, 0.0, -50.0], [1.0, 2.0, -300.0], [0.0, 150.0, 30.0]],))
def _(logits):
    p = torch.softmax(logits, dim=-1)
    return -(p * torch.log(p)).sum(-1)


@unstable("rl: soft value", ([[300.0, 299.0, 250.0], [-400.0, -401.0, -390.0], [1.0, 2.0, 3.0]],))
def _(q):
    alpha = 0.2
    return alpha * torch.log(torch.mean(torch.exp(q / alpha), dim=1))


@unstable("rl: retrace's clipped ratio", ([-1.0, -2.0, 0.0], [-101.0, -1.5, -0.5]))
def _(logp, logq):
    return torch.exp(logp - logq).clamp(max=1.0)


@unstable(
    "rl: categorical projection loss",
    (
        [[0.1, 0.7, 0.2], [0.0, 0.5, 0.5]],
        [[120.0, 0.0, -40.0], [-200.0, 3.0, 1.0]],
    ),
    trained=(1,),
)
def _(target, logits):
    prob = F.softmax(logits, dim=1)
    return -(target * prob.log()).sum(dim=1)


@unstable("focal loss on logits", ([120.0, -130.0, 40.0, -30.0, 0.5], [0.0, 1.0, 0.0, 1.0, 1.0]), trained=(0,))
def _(x, y):
    p = torch.sigmoid(x)
    return -((1 - p) ** 2) * y * torch.log(p) - p**2 * (1 - y) * torch.log(1 - p)


@unstable(
    "NT-Xent with a mask",
    (
        [[0.0, 9.0, -3.0], [9.0, 0.0, 8.5], [-9.5, 8.0, 0.0]],
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [1, 0, 0],
    ),
    trained=(0,),
)
def _(sim, eye, pos):
    e = torch.exp(sim / 0.05) * (1 - eye)
    chosen = e.gather(1, pos[:, None]).squeeze(1)
    return -torch.log(chosen / e.sum(dim=1))


def _matern_expected(x):
    d = torch.sqrt(((x[:, None, :] - x[None, :, :]) ** 2).sum(-1))
    return (1 + math.sqrt(3) * d) * torch.exp(-math.sqrt(3) * d)


@unstable("matern kernel of points with themselves", ([[0.0, 1.0], [0.5, 0.2], [0.5, 0.2]],))
def _(x):
    d = torch.sqrt(((x[:, None, :] - x[None, :, :]) ** 2).sum(-1))
    return (1 + math.sqrt(3) * d) * torch.exp(-math.sqrt(3) * d)


@unstable(
    "cosine loss of nearly parallel vectors",
    ([[1.0, 2.0, 3.0], [0.5, -0.2, 0.1]], [[1.001, 2.0, 3.001], [0.5002, -0.2, 0.1001]]),
)
def _(a, b):
    return 1 - (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))


@unstable("pseudo-huber near zero", ([1e-3, -3e-4, 2e-3, 5e-5],))
def _(x):
    delta = 2.0
    return delta**2 * (torch.sqrt(1 + (x / delta) ** 2) - 1)


@unstable("log-cosh", ([100.0, -95.0, 1e-3, 0.0005, 2.0],))
def _(x):
    return torch.log(torch.cosh(x))


@unstable("bi-tempered logarithm", ([0.3, 2.0, 5.0, 0.9], [1.00002, 0.99998, 1.000005, 0.9999]))
def _(x, t):
    return (x ** (1.0 - t) - 1.0) / (1.0 - t)


@unstable("inverse softplus", ([100.0, 1e-6, 3e-8, 0.5],))
def _(y):
    return torch.log(torch.exp(y) - 1)


@unstable("mish by hand", ([100.0, 95.0, -1.0, 2.0],))
def _(x):
    return x * torch.tanh(torch.log(1 + torch.exp(x)))


@unstable("poisson deviance", ([10.0, 3.0, 250.0], [10.001, 3.0004, 249.99]))
def _(y, mu):
    return 2 * (y * torch.log(y / mu) - (y - mu))


@unstable("gamma deviance", ([10.0, 3.0, 250.0], [10.001, 3.0004, 249.99]))
def _(y, mu):
    return 2 * (-torch.log(y / mu) + (y - mu) / mu)


@unstable("ordinal regression", ([-60.0, 45.0, 0.3], [[-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0]]))
def _(score, cuts):
    p = torch.sigmoid(cuts - score[:, None])
    return -torch.log(p[:, 1] - p[:, 0])


@unstable("ListMLE", ([[100.0, 95.0, 3.0, -5.0], [0.1, 0.2, 120.0, 0.3]],))
def _(scores):
    cums = torch.cumsum(torch.exp(scores).flip(1), dim=1).flip(1)
    return (torch.log(cums) - scores).sum(1)


@unstable("ORPO's odds", ([-1e-6, -3e-5, -1e-7], [-2.0, -50.0, -1e-4]))
def _(chosen, rejected):
    log_odds = (chosen - rejected) - (torch.log(1 - torch.exp(chosen)) - torch.log(1 - torch.exp(rejected)))
    return -torch.log(torch.sigmoid(log_odds))


@unstable(
    "CRF: log partition over four steps",
    ([[90.0, 2.0], [3.0, 91.0], [45.0, -2.0], [1.0, 0.0]], [[0.5, -1.0], [0.2, 0.1]]),
)
def _(emit, trans):
    alpha = emit[0]
    for t in range(1, 4):
        alpha = torch.log(torch.exp(alpha[:, None] + trans).sum(0)) + emit[t]
    return torch.log(torch.exp(alpha).sum())


@unstable("HMM: likelihood of fourteen observations", ([[1e-4, 3e-4]] * 14, [[0.9, 0.1], [0.2, 0.8]]))
def _(emit, trans):
    alpha = emit[0] * 0.5
    for t in range(1, 14):
        alpha = (alpha @ trans) * emit[t]
    return torch.log(alpha.sum())


@unstable("distillation", ([[300.0, -20.0, 5.0], [1.0, 2.0, -400.0]], [[0.0, 250.0, 1.0], [-500.0, 0.0, 1.0]]))
def _(student, teacher):
    T = 2.0
    pt = F.softmax(teacher / T, dim=1)
    ps = F.softmax(student / T, dim=1)
    return (pt * (torch.log(pt) - torch.log(ps))).sum(1) * T * T


@unstable("sinkhorn, two rounds", ([[0.0, 12.0], [11.0, 24.0]],))
def _(cost):
    K = torch.exp(-cost / 0.1)
    u = torch.ones_like(cost[:, 0])
    for _ in range(2):
        v = 0.5 / (K * u[:, None]).sum(0)
        u = 0.5 / (K * v[None, :]).sum(1)
    return u[:, None] * K * v[None, :]


@unstable("selective scan: discretised input", ([[1e-4, 3e-5], [2e-3, 1e-6]], [-1.0, -0.5], [[1.0, 2.0], [0.3, -1.0]]))
def _(dt, A, B):
    return (torch.exp(dt * A) - 1) / A * B


@unstable("RG-LRU input gate", ([3.0, -2.0, 5.0], [-9.0, -12.0, -7.0], [1.0, 2.0, -0.5]))
def _(r_, lam, x):
    log_a = -8.0 * torch.sigmoid(r_) * F.softplus(lam)
    a = torch.exp(log_a)
    return torch.sqrt(1 - a**2) * x


@unstable("VP-SDE: deviation early", ([1e-5, 3e-5, 1e-4], [[1.0, -1.0], [0.5, 2.0], [3.0, 0.1]]))
def _(t, noise):
    log_mean = -0.25 * t**2 * (20.0 - 0.1) - 0.5 * t * 0.1
    std = torch.sqrt(1.0 - torch.exp(2.0 * log_mean))
    return noise * std[:, None]


@unstable("signal to noise of a schedule", ([20.0, 12.0, -1.0, 25.0],))
def _(logsnr):
    alpha_bar = torch.sigmoid(logsnr)
    return torch.log(alpha_bar / (1 - alpha_bar))


@unstable("sigmoid flow with its log-determinant", ([40.0, -100.0, 0.3, 90.0],))
def _(x):
    s = 1 / (1 + torch.exp(-x))
    return torch.log(s * (1 - s))


@unstable("stick breaking in logarithms", ([[50.0, -3.0, 100.0, 1.0], [0.0, 30.0, 20.0, -2.0]],))
def _(x):
    v = torch.sigmoid(x)
    return torch.log(v) + torch.cumsum(torch.log(1 - v), dim=1)


@unstable(
    "volume rendering of thin fog", ([[1e-7, 3e-7, 2e-6], [1e-8, 2e-7, 1e-6]], [[0.1, 0.2, 0.1], [0.3, 0.1, 0.2]])
)
def _(sigma, delta):
    alpha = 1.0 - torch.exp(-sigma * delta)
    passed = torch.cat([torch.ones_like(alpha[:, :1]), 1.0 - alpha], -1)
    return alpha * torch.cumprod(passed, -1)[:, :-1]


@unstable("cox partial likelihood", ([95.0, 3.0, 120.0, -5.0, 2.0], [1.0, 1.0, 0.0, 1.0, 1.0]), trained=(0,))
def _(risk, event):
    return -(risk - torch.log(torch.cumsum(torch.exp(risk), 0))) * event


@unstable("graph attention over edges", ([100.0, 99.0, -200.0, -201.0, 3.0], [0, 0, 1, 1, 2]), trained=(0,))
def _(score, target):
    e = torch.exp(score)
    total = torch.zeros(3).index_add(0, target, e)
    return e / total[target]


@unstable(
    "merging two blocks of attention",
    ([[1.0, 2.0], [0.5, -1.0]], [[3.0, 1.0], [0.1, 0.2]], [100.0, -300.0], [98.0, -305.0]),
)
def _(o1, o2, l1, l2):
    w1, w2 = torch.exp(l1)[:, None], torch.exp(l2)[:, None]
    return (w1 * o1 + w2 * o2) / (w1 + w2)


@unstable(
    "evidential regression", ([1.0, 2.0, 0.3], [1.1, 1.5, 0.2], [2.0, 0.5, 1.0], [2e5, 1e6, 5e4], [1e5, 3e5, 4e4])
)
def _(y, gamma, nu, alpha, beta):
    omega = 2 * beta * (1 + nu)
    return (
        0.5 * torch.log(math.pi / nu)
        - alpha * torch.log(omega)
        + (alpha + 0.5) * torch.log((y - gamma) ** 2 * nu + omega)
        + torch.lgamma(alpha)
        - torch.lgamma(alpha + 0.5)
    )


@unstable(
    "log-determinant of a two by two flow",
    ([1e22, 1e-25, 3.0], [2e20, 1e-26, 2.0], [1e21, 3e-26, 1.0], [2e22, 2e-25, 0.7]),
)
def _(a, b, c, d):
    return torch.log(torch.abs(a * d - b * c))


@unstable("router z-loss", ([[120.0, 3.0, 2.0], [-150.0, -130.0, -140.0]],))
def _(x):
    return torch.log(torch.exp(x).sum(-1)) ** 2


@unstable(
    "attention without a maximum",
    ([[10.0, 20.0], [-30.0, 5.0]], [[10.0, -20.0], [30.0, 12.0], [1.0, 0.1]], [[1.0, 2.0], [3.0, 4.0], [0.5, 0.1]]),
)
def _(q, k, v):
    e = torch.exp(q @ k.T / math.sqrt(2))
    return (e / e.sum(-1, keepdim=True)) @ v


@unstable("ELU by where", ([200.0, -1e-5, 3e-6, -3e-4, 1.0],))
def _(x):
    return torch.where(x > 0, x, torch.exp(x) - 1)


HUGE = [[300.0, -400.0, 250.0, 100.0], [0.5, -1.0, 2.0, 0.25]]
SMALL = [[3e-4, -4e-4, 2.5e-4, 1e-4], [0.5, -1.0, 2.0, 0.25]]


@unstable_in(torch.float16, "fp16: RMS norm", (HUGE, [1.0, 0.5, 2.0, 1.0]))
def _(x, w):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * w


@unstable_in(torch.float16, "fp16: length", (HUGE,))
def _(x):
    return torch.sqrt((x * x).sum(-1))


@unstable_in(torch.float16, "fp16: sum over count", ([[400.0] * 300],))
def _(x):
    return x.sum(-1) / x.shape[-1]


@unstable_in(
    torch.bfloat16, "bf16: variance by moments", ([[100.0, 101.0, 102.0, 99.0], [-30.25, -30.5, -30.0, -29.75]],)
)
def _(x):
    return (x**2).mean(-1) - x.mean(-1) ** 2


@unstable_in(torch.float16, "fp16: scores scaled afterwards", ([[60.0] * 64, [-60.0] * 64], [[60.0] * 64, [1.0] * 64]))
def _(q, k):
    return (q @ k.T) / 8.0


@unstable_in(torch.bfloat16, "bf16: log of one minus sigmoid", ([6.0, 8.0, 10.0, 40.0],))
def _(x):
    return torch.log(1 - torch.sigmoid(x))


@unstable_in(
    torch.float16, "fp16: cosine of small vectors", (SMALL, [[1e-4, 2e-4, -3e-4, 4e-4], [1.0, 0.5, 2.0, -0.5]])
)
def _(a, b):
    return (a * b).sum(-1) / (torch.sqrt((a * a).sum(-1)) * torch.sqrt((b * b).sum(-1)))


def _divided(x):
    n = torch.sqrt((x * x).sum(-1, keepdim=True))
    return x / (n + 1e-8)


@unstable_in(
    torch.float16,
    "fp16: normalised with a little more",
    ([[0.0, 0.0], [3.0, 4.0]],),
    gradient=False,
    expected=_divided,
)
def _(x):
    return x / (x.norm(dim=-1, keepdim=True) + 1e-8)


@unstable_in(torch.float16, "fp16: softplus", ([12.0, 15.0, -3.0, 1.0],))
def _(x):
    return torch.log(1 + torch.exp(x))


@unstable_in(torch.float16, "fp16: root of mean squared error", (HUGE, [[0.0, 1.0, 2.0, 3.0], [0.25, 1.0, 0.5, 0.0]]))
def _(a, b):
    return torch.sqrt(((a - b) ** 2).mean(-1))


@unstable_in(
    torch.bfloat16, "bf16: rotary angles", ([[1001.0], [2050.0], [37.0]], [[1.0, 0.31, 0.1, 0.03]]), gradient=False
)
def _(pos, inv_freq):
    angle = pos * inv_freq
    return torch.cat([torch.cos(angle), torch.sin(angle)], -1)


def _steps(t):
    args = t[:, None] * torch.tensor([[10.0**-k for k in range(4)]], dtype=torch.float64)
    return torch.cat([torch.cos(args), torch.sin(args)], -1)


@unstable_in(torch.bfloat16, "bf16: timestep embedding", ([999.0, 500.0, 12.0],), gradient=False, expected=_steps)
def _(t):
    freqs = torch.exp(-math.log(10000) * torch.arange(0, 4, dtype=torch.bfloat16) / 4)
    args = t[:, None] * freqs[None]
    return torch.cat([torch.cos(args), torch.sin(args)], -1)


@unstable_in(torch.float16, "fp16: log of a softmax", ([[10.0, 0.0, -12.0], [30.0, 1.0, 0.0]],))
def _(x):
    return torch.log(torch.softmax(x, -1))


@unstable_in(torch.float16, "fp16: weighted mean", ([[300.0, 200.0, 250.0]], [[100.0, 90.0, 200.0]]))
def _(x, w):
    return (x * w).sum(-1) / w.sum(-1)


@unstable_in(torch.bfloat16, "bf16: KL of near softmaxes", ([[1.0, 0.5, 0.0]], [[1.0625, 0.5, 0.0625]]))
def _(a, b):
    p, q = a.softmax(-1), b.softmax(-1)
    return (p * (torch.log(p) - torch.log(q))).sum(-1)
