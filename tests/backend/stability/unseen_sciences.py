"""Expressions of the sciences: distributions, statistics, physics, geometry, signals, finance.

By somebody who had not seen the rules; for each row torch alone is wrong, in value or gradient.
"""

import math

import torch
from torch.nn import functional as F

from tests.backend.stability.unstable import Unstable

ROWS: list[Unstable] = []


def unstable(name, inputs, *, gradient=True, expected=None, trained=()):
    """Adds what is decorated to the rows."""

    def add(function):
        ROWS.append(Unstable(name, function, inputs, gradient, expected, trained))
        return function

    return add


@unstable(
    "mixture density network",
    (
        [30.0, -25.0, 0.5],
        [[0.0, 1.0], [2.0, -1.0], [0.2, 0.3]],
        [[0.1, 0.2], [0.3, 0.1], [1.0, 2.0]],
        [[0.3, 0.7], [0.5, 0.5], [0.9, 0.1]],
    ),
)
def _(x, mu, sigma, weight):
    z = (x.unsqueeze(1) - mu) / sigma
    density = torch.exp(-0.5 * z**2) / (sigma * math.sqrt(2 * math.pi))
    return -torch.log((weight * density).sum(1))


@unstable("discretized logistic likelihood", ([40.0, -3.0, 25.0, 0.2], [0.0, 0.0, 1.0, 0.1], [-0.5, -2.0, 0.3, 0.0]))
def _(x, mean, log_scale):
    inv = torch.exp(-log_scale)
    plus = torch.sigmoid((x - mean + 0.5) * inv)
    minus = torch.sigmoid((x - mean - 0.5) * inv)
    return torch.log(plus - minus)


@unstable("mass of an interval in the upper tail", ([5.0, 4.0, 5.5], [5.5, 6.0, 7.0]))
def _(a, b):
    def cdf(v):
        return 0.5 * (1 + torch.erf(v / math.sqrt(2)))

    return cdf(b) - cdf(a)


@unstable("p-value of a z-score", ([5.5, 6.0, 7.0],))
def _(z):
    return 2 * (1 - 0.5 * (1 + torch.erf(z.abs() / math.sqrt(2))))


@unstable("probit log-likelihood", ([8.0, 6.5, 9.0, 12.0], [0.0, 0.0, 0.0, 0.0]), trained=(0,))
def _(eta, y):
    p = 0.5 * (1.0 + torch.erf(eta / 2**0.5))
    return y * torch.log(p) + (1 - y) * torch.log(1 - p)


@unstable("beta log-density, many counts", ([0.5003, 0.2], [250000.0, 2e6], [250001.0, 8e6]))
def _(x, a, b):
    return (a - 1) * torch.log(x) + (b - 1) * torch.log(1 - x) + torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)


@unstable("negative binomial, nearly Poisson", ([3.0, 10.0, 1.0], [1e6, 5e6, 3e7], [2e-6, 1e-6, 1e-7]), trained=(2,))
def _(k, total, p):
    return (
        torch.lgamma(k + total)
        - torch.lgamma(k + 1)
        - torch.lgamma(total)
        + total * torch.log(1 - p)
        + k * torch.log(p)
    )


@unstable("student t with many degrees of freedom", ([0.5, -1.5, 2.0], [1e5, 1e6, 3e6]), trained=(0,))
def _(t, nu):
    return (
        torch.lgamma((nu + 1) / 2)
        - torch.lgamma(nu / 2)
        - 0.5 * torch.log(nu * math.pi)
        - (nu + 1) / 2 * torch.log(1 + t**2 / nu)
    )


@unstable("kumaraswamy distribution function", ([1e-4, 3e-3, 2e-5], [2.0, 3.0, 1.5], [3.0, 5.0, 2.0]))
def _(x, a, b):
    return 1 - (1 - x**a) ** b


@unstable("weibull failures, early", ([1e-3, 2e-2, 5e-4], [1.5, 3.0, 2.0], [1.0, 2.0, 0.5]))
def _(t, k, lam):
    return 1 - torch.exp(-((t / lam) ** k))


@unstable("gompertz cumulative hazard", ([1e-5, 3e-6, 1e-4], [0.3, 0.5, 0.01]))
def _(gamma, t):
    return (torch.exp(gamma * t) - 1) / gamma


@unstable("gumbel minimum from small uniforms", ([1e-9, 3e-8, 1e-12, 2e-5],))
def _(u):
    return torch.log(-torch.log(1 - u))


@unstable("logit of a sigmoid", ([20.0, 35.0, -30.0, 110.0],))
def _(x):
    s = torch.sigmoid(x)
    return torch.log(s / (1 - s))


@unstable("zero-truncated poisson", ([1.0, 2.0, 1.0, 3.0], [1e-8, 3e-5, 1e-6, 200.0]), trained=(1,))
def _(k, rate):
    return k * torch.log(rate) - rate - torch.log(1 - torch.exp(-rate)) - torch.lgamma(k + 1)


@unstable("zero-inflated poisson, probability of none", ([-120.0, -2.0, -95.0], [110.0, 3.0, 200.0]))
def _(logit, rate):
    pi = torch.sigmoid(logit)
    return torch.log(pi + (1 - pi) * torch.exp(-rate))


@unstable("von mises, concentrated", ([0.1, -0.2, 0.01], [150.0, 300.0, 1000.0]))
def _(delta, kappa):
    return kappa * torch.cos(delta) - torch.log(2 * math.pi * torch.special.i0(kappa))


@unstable(
    "KL of two gaussians, nearly equal",
    ([0.0, 1.0, 2.0], [1.0001, 0.5, 2.0005], [1e-4, 1.0002, 2.0], [1.0, 0.50003, 2.0]),
)
def _(m1, s1, m2, s2):
    ratio = (s1 / s2) ** 2
    return 0.5 * (ratio + ((m1 - m2) / s2) ** 2 - 1 - torch.log(ratio))


@unstable("VAE's KL near the prior", ([[1e-4, -2e-4, 3e-5]], [[2e-4, -1e-4, 5e-5]]))
def _(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@unstable("KL of two coins, nearly equal", ([0.3, 0.9, 0.5], [0.30002, 0.90003, 0.49998]))
def _(p, q):
    return p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))


@unstable(
    "jensen-shannon of two softmaxes", ([[200.0, 0.0, 1.0], [0.0, -150.0, 1.0]], [[0.0, 1.0, 300.0], [0.5, 120.0, 0.0]])
)
def _(a, b):
    p, q = F.softmax(a, -1), F.softmax(b, -1)
    m = 0.5 * (p + q)
    return 0.5 * (p * torch.log(p / m)).sum(-1) + 0.5 * (q * torch.log(q / m)).sum(-1)


@unstable(
    "hellinger of two softmaxes, close",
    ([[1.0, 0.0, 1.0], [0.3, -1.5, 1.0]], [[1.001, 0.0, 0.9995], [0.3002, -1.5001, 1.0001]]),
)
def _(a, b):
    p, q = a.softmax(-1), b.softmax(-1)
    return 1 - torch.sqrt(p * q).sum(-1)


@unstable("bhattacharyya of two scales", ([1.0, 0.5, 3.0], [1.0003, 0.4999, 3.002]))
def _(s1, s2):
    return 0.25 * torch.log(0.25 * (s1**2 / s2**2 + s2**2 / s1**2 + 2))


@unstable("rayleigh, early", ([1e-4, 3e-4, 2e-3], [1.0, 0.5, 2.0]))
def _(x, s):
    return 1 - torch.exp(-(x**2) / (2 * s**2))


OFF = [[10000.0, 10001.0, 10002.5, 9999.0, 10000.5], [-3000.25, -3000.5, -3000.0, -2999.75, -3001.0]]
OFF2 = [[5000.0, 5000.5, 5002.0, 4999.0, 5000.0], [801.25, 800.5, 800.0, 799.75, 801.0]]


@unstable("standardised by raw moments", (OFF,))
def _(x):
    mean = x.mean(-1, keepdim=True)
    std = torch.sqrt((x**2).mean(-1, keepdim=True) - mean**2)
    return (x - mean) / std


@unstable("correlation in one pass", (OFF, OFF2))
def _(x, y):
    n = x.shape[-1]
    sx, sy = x.sum(-1), y.sum(-1)
    top = n * (x * y).sum(-1) - sx * sy
    return top / torch.sqrt((n * (x**2).sum(-1) - sx**2) * (n * (y**2).sum(-1) - sy**2))


@unstable("skewness by raw moments", ([[100.0, 101.0, 102.5, 99.0, 100.5], [-30.25, -30.5, -30.0, -29.75, -31.0]],))
def _(x):
    m1, m2, m3 = x.mean(-1), (x**2).mean(-1), (x**3).mean(-1)
    return (m3 - 3 * m1 * m2 + 2 * m1**3) / (m2 - m1**2) ** 1.5


@unstable("covariance matrix by raw moments", ([[1000.0, 503.0], [1001.0, 502.0], [1002.5, 500.5], [999.0, 501.0]],))
def _(x):
    n = x.shape[0]
    mean = x.mean(0)
    return x.T @ x / n - mean[:, None] * mean[None, :]


@unstable(
    "slope of a trend over years", ([2001.0, 2002.0, 2003.0, 2004.0, 2005.0], [310.5, 311.25, 313.0, 312.5, 314.0])
)
def _(x, y):
    n = x.numel()
    return (n * (x * y).sum() - x.sum() * y.sum()) / (n * (x * x).sum() - x.sum() ** 2)


@unstable("weighted variance", (OFF, [[1.0, 0.5, 0.2, 0.7, 0.1], [0.3, 0.3, 2.0, 1.0, 0.1]]))
def _(x, w):
    total = w.sum(-1)
    mean = (w * x).sum(-1) / total
    return (w * x * x).sum(-1) / total - mean * mean


@unstable("mutual information, nearly independent", ([[0.001, 0.0, 0.002], [0.0, 0.0015, 0.0]],))
def _(logits):
    joint = torch.softmax(logits.flatten(), 0).view(2, 3)
    px, py = joint.sum(1, keepdim=True), joint.sum(0, keepdim=True)
    return (joint * torch.log(joint / (px * py))).sum()


@unstable("effective sample size", ([[-100.0, -101.0, -99.5], [60.0, 50.0, 61.0], [0.0, 1.0, 2.0]],))
def _(log_w):
    w = torch.exp(log_w)
    return w.sum(-1) ** 2 / (w**2).sum(-1)


@unstable("IWAE bound", ([[-900.0, -905.0, -899.0], [100.0, 99.0, 10.0]],))
def _(log_w):
    return torch.log(torch.exp(log_w).mean(1))


@unstable("geometric mean of many", ([[1e20, 3e18, 2e15, 1e10], [1e-20, 3e-18, 2e-15, 1e-10]],))
def _(x):
    return x.prod(-1) ** (1 / x.shape[-1])


@unstable("p-norm, p of eight", ([[1e6, 3e5, -2e6], [1e-6, -3e-6, 2e-7], [1.0, 2.0, 3.0]],))
def _(x):
    return (x.abs() ** 8).sum(-1) ** (1 / 8)


@unstable("root mean square of large", ([[1e25, -3e24], [1e-25, 2e-26], [3.0, 4.0]],))
def _(x):
    return torch.sqrt(torch.mean(x**2, dim=-1))


@unstable("boltzmann operator", ([[100.0, 99.0, 3.0], [-200.0, -201.0, -190.0]],))
def _(x):
    e = torch.exp(x)
    return (x * e).sum(-1) / e.sum(-1)


@unstable("log of a binomial coefficient", ([1e6, 5e5, 3e7], [3.0, 2.0, 5.0]), gradient=False)
def _(n, k):
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)


@unstable("planck's law", ([1e-4, 3e-3, 100.0, 2.0],))
def _(x):
    return x**3 / (torch.exp(x) - 1)


@unstable("fermi-dirac", ([0.5, 1.2, -0.3, 2.6], [0.5, 0.3, 0.4, 0.0]))
def _(energy, mu):
    return 1 / (torch.exp((energy - mu) / 0.01) + 1)


@unstable("langevin function", ([1e-3, -2e-4, 3e-3, 1e-2],))
def _(x):
    return 1 / torch.tanh(x) - 1 / x


@unstable("einstein's heat capacity", ([1e-3, 2e-4, 60.0, 95.0, 3.0],))
def _(x):
    return x**2 * torch.exp(x) / (torch.exp(x) - 1) ** 2


@unstable("relativistic kinetic energy", ([1.0, 2.0, 0.5], [3e5, 1e4, 2e6]))
def _(m, v):
    c = 299792458.0
    return m * c**2 * (1 / torch.sqrt(1 - v**2 / c**2) - 1)


@unstable("rapidity", ([100.0, 300.0, 50.0], [0.14, 0.5, 0.0005]))
def _(pz, m):
    E = torch.sqrt(pz**2 + m**2)
    return 0.5 * torch.log((E + pz) / (E - pz))


@unstable("morse potential near its minimum", ([1.0001, 0.9998, 1.00003],))
def _(x):
    return 4.7 * (1 - torch.exp(-1.9 * (x - 1.0))) ** 2


@unstable("potential of a dipole", ([10.0, 100.0, 1000.0], [1e-4, 1e-3, 1e-2]))
def _(d, s):
    return 1 / d - 1 / (d + s)


@unstable("tidal acceleration", ([3.8e2, 1.5e3, 50.0], [6e-3, 1e-2, 1e-3]))
def _(d, s):
    return 1 / (d - s) ** 2 - 1 / d**2


@unstable("pendulum's energy", ([1e-4, 3e-4, -1e-3, 2e-3],))
def _(theta):
    return 9.81 * (1 - torch.cos(theta))


@unstable("kepler's equation near the pericentre", ([1e-2, 3e-3, 2e-2], [0.99999, 0.9999, 0.999999]))
def _(E, e):
    return E - e * torch.sin(E)


@unstable("great circle by the law of cosines", ([0.8, 0.2, -0.5], [0.8003, 0.2001, -0.5004], [1e-4, 3e-4, 2e-4]))
def _(a, b, d):
    return 6371.0 * torch.acos(torch.sin(a) * torch.sin(b) + torch.cos(a) * torch.cos(b) * torch.cos(d))


def _rot_limit(w, v):
    theta2 = (w * w).sum(-1, keepdim=True)
    a = 1 - theta2 / 6 + theta2**2 / 120 - theta2**3 / 5040
    b = 0.5 - theta2 / 24 + theta2**2 / 720 - theta2**3 / 40320

    def cross(x, y):
        return torch.stack(
            [
                x[:, 1] * y[:, 2] - x[:, 2] * y[:, 1],
                x[:, 2] * y[:, 0] - x[:, 0] * y[:, 2],
                x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0],
            ],
            -1,
        )

    wv = cross(w, v)
    return v + a * wv + b * cross(w, wv)


@unstable(
    "rodrigues' rotation by little",
    ([[1e-4, 2e-4, -1e-4], [0.0, 0.0, 0.0], [1e-3, 0.0, 2e-3]], [[1.0, 2.0, 3.0], [0.5, 0.1, -1.0], [0.0, 1.0, 0.0]]),
    expected=_rot_limit,
)
def _(w, v):
    theta = torch.sqrt((w * w).sum(-1, keepdim=True))
    a = torch.sin(theta) / theta
    b = (1 - torch.cos(theta)) / theta**2

    def cross(x, y):
        return torch.stack(
            [
                x[:, 1] * y[:, 2] - x[:, 2] * y[:, 1],
                x[:, 2] * y[:, 0] - x[:, 0] * y[:, 2],
                x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0],
            ],
            -1,
        )

    wv = cross(w, v)
    return v + a * wv + b * cross(w, wv)


@unstable("coefficient of the rotation's second term", ([1e-3, 2e-4, 5e-3, 3e-2],))
def _(theta):
    return (theta - torch.sin(theta)) / theta**3


@unstable("heron's area of a needle", ([1000.0, 500.0, 3.0], [1000.001, 500.002, 4.0], [0.01, 0.01, 5.0]))
def _(a, b, c):
    s = (a + b + c) / 2
    return torch.sqrt(s * (s - a) * (s - b) * (s - c))


@unstable(
    "angle between near directions", ([[1.0, 2.0, 3.0], [0.5, -0.2, 0.1]], [[1.001, 2.0, 3.001], [0.502, -0.2, 0.1001]])
)
def _(a, b):
    return torch.acos((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)))


@unstable("root of a quadratic", ([1.0, 0.5, 2.0], [1e4, 3e3, 500.0], [1.0, 0.3, -0.1]))
def _(a, b, c):
    return (-b + torch.sqrt(b**2 - 4 * a * c)) / (2 * a)


@unstable("ray meets a far sphere", ([[1000.0, 0.02, 0.01], [5000.0, 0.1, 0.0]], [1.0, 2.0]))
def _(centre, radius):
    b = centre[:, 0]
    c = (centre * centre).sum(-1) - radius**2
    return b - torch.sqrt(b * b - c)


@unstable("complex quotient", ([1e25, 3.0, 1e-25], [2e25, 1.0, 3e-25], [3e25, 0.5, 1e-25], [1e25, -2.0, 2e-25]))
def _(a, b, c, d):
    n = c * c + d * d
    return torch.stack([(a * c + b * d) / n, (b * c - a * d) / n])


@unstable(
    "shoelace area far from the origin",
    (
        [[100000.0, 100001.0, 100002.0, 100000.5], [50000.0, 50003.0, 50003.5, 50001.0]],
        [[200000.0, 200000.25, 200002.0, 200003.0], [70000.0, 70001.0, 70004.0, 70002.0]],
    ),
)
def _(x, y):
    return 0.5 * (x * y.roll(1, 1) - y * x.roll(1, 1)).sum(-1)


@unstable("poincare distance of near points", ([[0.1, 0.2], [0.7, -0.3]], [[0.1001, 0.2001], [0.7002, -0.3]]))
def _(u, v):
    d = ((u - v) ** 2).sum(-1)
    x = 1 + 2 * d / ((1 - (u * u).sum(-1)) * (1 - (v * v).sum(-1)))
    return torch.log(x + torch.sqrt(x**2 - 1))


def _tanhc(v):
    s = (v * v).sum(-1, keepdim=True)
    small = s < 1e-20
    n = torch.sqrt(torch.where(small, torch.ones_like(s), s))
    return v * torch.where(small, 1 - s / 3, torch.tanh(n) / n)


@unstable(
    "exponential map of the poincare ball",
    ([[1e-30, 0.0], [0.3, 0.4], [0.0, 0.0], [1e-25, 1e-25]],),
    expected=_tanhc,
)
def _(v):
    n = v.norm(dim=-1, keepdim=True)
    return torch.tanh(n) * v / n


@unstable("mu-law expansion", ([1e-6, -3e-7, 2e-5, 1e-4],))
def _(y):
    mu = 255.0
    return torch.sign(y) * ((1 + mu) ** torch.abs(y) - 1) / mu


@unstable(
    "kaiser window",
    ([-0.9, 0.4, 0.8],),
    expected=lambda x: torch.special.i0(120 * torch.sqrt(1 - x * x)) / torch.special.i0(0 * x + 120),
)
def _(x):
    beta = 120.0
    return torch.special.i0(beta * torch.sqrt(1 - x**2)) / torch.special.i0(torch.tensor(beta))


@unstable("dirichlet kernel", ([1e-3, 0.5, 1e-20, -2e-4],))
def _(x):
    return torch.sin(7 * x / 2) / torch.sin(x / 2) - 7


@unstable("butterworth response", ([1e6, 3e5, 2.0, 0.5],))
def _(w):
    return 1 / torch.sqrt(1 + w**16)


@unstable("smoothing constant of a slow filter", ([100.0, 30.0, 2000.0],))
def _(tau):
    return 1 - torch.exp(-1 / (tau * 48000.0))


@unstable("low shelf near zero frequency", ([1e-4, 3e-4, 2e-3],))
def _(w):
    c = torch.cos(w)
    return torch.stack([(1 - c) / 2, 1 - c, torch.sin(w)])


@unstable("spectral flatness by product", ([[1e-12, 3e-11, 2e-12, 1e-13], [1e10, 3e11, 1e12, 2e9]],))
def _(x):
    return x.prod(-1) ** 0.25 / x.mean(-1)


@unstable("teager energy of a smooth signal", ([[1.0, 1.0003, 1.0005, 1.0006], [20.0, 20.01, 20.03, 20.02]],))
def _(x):
    return x[:, 1:-1] ** 2 - x[:, :-2] * x[:, 2:]


@unstable("annuity", ([1e-6, 3e-5, 1e-7],))
def _(rate):
    return (1 - (1 + rate) ** -30) / rate


@unstable("compounded monthly", ([1e-5, 3e-4, 2e-6],))
def _(rate):
    return (1 + rate / 12) ** 60 - 1


@unstable("log return", ([100.0, 2500.25, 3.0], [100.001, 2500.5, 3.00001]))
def _(before, after):
    return torch.log(after / before)


@unstable("put by parity", ([100.0, 100.0, 50.0], [60.0, 70.0, 28.0]))
def _(spot, strike):
    r_, T, sigma = 0.02, 0.5, 0.2
    d1 = (torch.log(spot / strike) + (r_ + sigma**2 / 2) * T) / (sigma * math.sqrt(T))
    d2 = d1 - sigma * math.sqrt(T)

    def normal(v):
        return 0.5 * (1 + torch.erf(v / math.sqrt(2)))

    call = spot * normal(d1) - strike * math.exp(-r_ * T) * normal(d2)
    return call - spot + strike * math.exp(-r_ * T)


@unstable("vasicek bond", ([1e-3, 3e-3, 1e-2], [5.0, 10.0, 2.0], [0.03, 0.02, 0.05]))
def _(a, T, r0):
    b, sigma = 0.04, 0.01
    B = (1 - torch.exp(-a * T)) / a
    A = (B - T) * (a**2 * b - sigma**2 / 2) / a**2 - sigma**2 * B**2 / (4 * a)
    return torch.exp(A - B * r0)


@unstable("CRRA utility near log", ([2.0, 0.5, 30.0], [1.00001, 0.99999, 1.000003]))
def _(c, g):
    return (c ** (1 - g) - 1) / (1 - g)


@unstable("SABR's x(z) at the money", ([1e-4, -3e-4, 2e-3], [0.3, -0.5, 0.1]))
def _(z, rho):
    x = torch.log((torch.sqrt(1 - 2 * rho * z + z**2) + z - rho) / (1 - rho))
    return z / x


@unstable("entropic risk", ([[300.0, -500.0, 10.0], [1.0, 2.0, 3.0]],))
def _(x):
    return torch.log(torch.mean(torch.exp(-x * 2.0), dim=1)) / 2.0
