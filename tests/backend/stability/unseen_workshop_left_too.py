"""The other half of ``unseen_workshop_left``: diffusion, sampling, returns, sciences."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tests.backend.stability.unseen_workshop_left import ALONE as ALONE
from tests.backend.stability.unseen_workshop_left import X, Y, n, stays, u


# --- diffusion, sampling, returns -------------------------------------------------------------------------------------
@stays("workshop: posterior of DDPM", X, Y, torch.tensor(0.7), torch.tensor(0.75))
def _(x0, xt, bar, before):
    beta = 1 - bar / before
    first = beta * torch.sqrt(before) / (1 - bar)
    second = torch.sqrt(1 - beta) * (1 - before) / (1 - bar)
    return first * x0 + second * xt


@stays("workshop: x0 of a noise", X, Y, u(4, 1) * 0.9 + 0.05)
def _(x, noise, bar):
    return ((x - torch.sqrt(1 - bar) * noise) / torch.sqrt(bar)).clamp(-1, 1)


@stays("workshop: flow matching", X, Y, u(4, 1))
def _(x0, x1, t):
    return (1 - (1 - 1e-4) * t) * x0 + t * x1, x1 - (1 - 1e-4) * x0


@stays("workshop: DPM-Solver's step", X, Y, u(1) * 0.5 + 0.4, u(1) * 0.3 + 0.1)
def _(x, noise, s, t):
    def marginal(t):
        log_alpha = -0.25 * t**2 * 19.9 - 0.5 * t * 0.1
        return log_alpha, torch.sqrt(-torch.expm1(2 * log_alpha))

    (la_s, sigma_s), (la_t, sigma_t) = marginal(s), marginal(t)
    h = (la_t - torch.log(sigma_t)) - (la_s - torch.log(sigma_s))
    return torch.exp(la_t - la_s) * x - sigma_t * torch.expm1(h) * noise


@stays("workshop: cosine schedule of Nichol", u(5))
def _(t):
    def bar(t):
        return torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    return (1 - bar(t + 0.001) / bar(t)).clamp(max=0.999)


@stays("workshop: Karras's sigmas", torch.arange(6.0))
def _(k):
    return (80 ** (1 / 7) + k / 5 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7


@stays("workshop: rescaled guidance", X, Y)
def _(a, b):
    c = b + 7.5 * (a - b)
    r = c * (a.std(1, keepdim=True) / c.std(1, keepdim=True))
    return 0.7 * r + 0.3 * c


@stays("workshop: typical sampling", n(4, 6))
def _(x):
    log_p = F.log_softmax(x, -1)
    entropy = -(log_p.exp() * log_p).nansum(-1, keepdim=True)
    return ((-log_p) - entropy).abs()


@stays("workshop: Gumbel-top-k", X, u(4, 6) * 0.98 + 0.01)
def _(x, v):
    return (x - torch.log(-torch.log(v))).topk(2, -1).values


@stays("workshop: straight-through softmax", X)
def _(x):
    soft = torch.softmax(x, -1)
    hard = F.one_hot(soft.argmax(-1), 6).float()
    return hard + soft - soft.detach()


@stays("workshop: tanh-squashed gaussian", X, Y, n(4, 6))
def _(mean, log_std, noise):
    log_std = -5 + 0.5 * (2 + 5) * (torch.tanh(log_std) + 1)
    x = mean + log_std.exp() * noise
    log_p = (-0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
    return torch.tanh(x), log_p - (2 * (math.log(2) - x - F.softplus(-2 * x))).sum(-1)


@stays("workshop: quantile huber", n(4, 5), n(4, 5))
def _(x, y):
    d = y[:, None, :] - x[:, :, None]
    tau = ((torch.arange(5.0) + 0.5) / 5)[None, :, None]
    huber = torch.where(d.abs() <= 1, 0.5 * d * d, d.abs() - 0.5)
    return ((tau - (d.detach() < 0).float()).abs() * huber).mean()


@stays("workshop: soft update and target", X, Y, n(4), (u(4) > 0.2).float())
def _(q, target, reward, going):
    v = 0.2 * torch.logsumexp(target / 0.2, -1)
    return F.mse_loss(q.gather(1, target.argmax(1, keepdim=True)).squeeze(1), reward + 0.99 * going * v.detach())


@stays("workshop: running mean and std of rewards", n(8), 0.1, 1.2, 50.0)
def _(x, mean, var, count):
    delta = x.mean() - mean
    total = count + 8
    m2 = var * count + x.var(unbiased=False) * 8 + delta**2 * count * 8 / total
    return mean + delta * 8 / total, m2 / total


# --- sciences ---------------------------------------------------------------------------------------------------------
@stays("workshop: wave equation, one step", n(10), n(10))
def _(now, before):
    lap = torch.roll(now, 1) - 2 * now + torch.roll(now, -1)
    return 2 * now - before + 0.25 * lap


@stays("workshop: Verlet", n(4, 3), n(4, 3), n(4, 3))
def _(x, before, a):
    return 2 * x - before + a * 0.01**2


@stays("workshop: central slope", n(10))
def _(y):
    return (y[2:] - y[:-2]) / (2 * 0.01)


@stays("workshop: Michaelis and Menten", u(6) * 10, u(6) * 2)
def _(s, i):
    return 3.0 * s / (0.5 * (1 + i / 0.3) + s)


@stays("workshop: Hill", u(6) * 10)
def _(x):
    return x**2.5 / (1.5**2.5 + x**2.5)


@stays("workshop: logistic growth", u(6) * 20)
def _(t):
    return 100.0 / (1 + (100.0 / 5 - 1) * torch.exp(-0.4 * t))


@stays("workshop: Lotka and Volterra", u(4) * 10, u(4) * 5)
def _(x, y):
    return x + 0.01 * (1.1 * x - 0.4 * x * y), y + 0.01 * (0.1 * x * y - 0.4 * y)


@stays("workshop: Snell", u(6) * 0.9)
def _(sine):
    s = sine / 1.5
    cos_t = torch.sqrt((1 - s * s).clamp(min=0))
    cos_i = torch.sqrt((1 - sine * sine).clamp(min=0))
    r = (cos_i - 1.5 * cos_t) / (cos_i + 1.5 * cos_t)
    return r * r


@stays("workshop: Beer and Lambert", u(6), u(6))
def _(a, d):
    return torch.exp(-a * d), 1 - torch.exp(-a * d) * 0.5


@stays("workshop: capacitor", u(6) * 5 + 0.5)
def _(t):
    return 5.0 * (1 - torch.exp(-t / 0.47))


@stays("workshop: pendulum", n(4), n(4))
def _(theta, omega):
    energy = 0.5 * omega**2 + 9.81 * (1 - torch.cos(theta))
    return theta + 0.01 * omega, omega - 0.01 * 9.81 * torch.sin(theta), energy


@stays("workshop: rotation of axis and angle", F.normalize(n(4, 3), dim=-1), u(4, 1) * 3, n(4, 3))
def _(axis, angle, v):
    along = (axis * v).sum(-1, keepdim=True)
    cross = torch.cross(axis, v, dim=-1)
    return v * torch.cos(angle) + cross * torch.sin(angle) + axis * along * (1 - torch.cos(angle))


@stays("workshop: slerp", F.normalize(n(4, 4), dim=-1), F.normalize(n(4, 4), dim=-1), u(4, 1))
def _(a, b, t):
    dot = (a * b).sum(-1, keepdim=True).clamp(-0.9995, 0.9995)
    theta = torch.acos(dot)
    return (torch.sin((1 - t) * theta) * a + torch.sin(t * theta) * b) / torch.sin(theta)


@stays("workshop: barycentric coordinates", n(5, 2), n(3, 2))
def _(p, t):
    a, b, c = t[0], t[1], t[2]
    d = (b[1] - c[1]) * (a[0] - c[0]) + (c[0] - b[0]) * (a[1] - c[1])
    w1 = ((b[1] - c[1]) * (p[:, 0] - c[0]) + (c[0] - b[0]) * (p[:, 1] - c[1])) / d
    w2 = ((c[1] - a[1]) * (p[:, 0] - c[0]) + (a[0] - c[0]) * (p[:, 1] - c[1])) / d
    return w1, w2, 1 - w1 - w2


@stays("workshop: normals of triangles", n(5, 3), n(5, 3), n(5, 3))
def _(a, b, c):
    return F.normalize(torch.cross(b - a, c - a, dim=-1), dim=-1)


@stays("workshop: signed distance of a box", n(6, 2))
def _(p):
    q = p.abs() - torch.tensor([1.0, 0.5])
    return torch.sqrt((q.clamp(min=0) ** 2).sum(-1) + 1e-12) + q.amax(-1).clamp(max=0)


@stays("workshop: smooth union", n(6), n(6))
def _(a, b):
    h = (0.5 + 0.5 * (b - a) / 0.3).clamp(0, 1)
    return b + (a - b) * h - 0.3 * h * (1 - h)


@stays("workshop: spherical coordinates", n(5, 3))
def _(p):
    r = p.norm(dim=-1)
    return r, torch.acos((p[:, 2] / r).clamp(-1 + 1e-6, 1 - 1e-6)), torch.atan2(p[:, 1], p[:, 0])


@stays("workshop: volume rendering", u(4, 8) * 3, u(4, 8, 3))
def _(sigma, colour):
    alpha = 1 - torch.exp(-F.relu(sigma) * 0.1)
    through = torch.cumprod(torch.cat((torch.ones(4, 1), 1 - alpha + 1e-10), -1), -1)[:, :-1]
    return ((alpha * through)[..., None] * colour).sum(1)


@stays("workshop: mu-law", u(6) * 2 - 1)
def _(x):
    return torch.sign(x) * torch.log1p(255.0 * x.abs()) / math.log(256.0)


@stays("workshop: decibels", u(6))
def _(p):
    return 10.0 * torch.log10(torch.clamp(p, min=1e-10)) - 10.0 * math.log10(1e-10)


@stays("workshop: biquad", n(8))
def _(x):
    y, y1, y2 = [], torch.zeros(()), torch.zeros(())
    for k in range(2, 8):
        new = 0.1 * x[k] + 0.2 * x[k - 1] + 0.1 * x[k - 2] + 1.1 * y1 - 0.5 * y2
        y.append(new)
        y1, y2 = new, y1
    return torch.stack(y)


@stays("workshop: gamma and contrast", u(3, 4, 4))
def _(x):
    x = x.clamp(1e-6, 1) ** (1 / 2.2)
    return (x - x.mean()) * 1.2 + x.mean()


@stays("workshop: over operator", u(4, 4), u(4, 4), u(4, 4), u(4, 4))
def _(c1, a1, c2, a2):
    a = a1 + a2 * (1 - a1)
    return (c1 * a1 + c2 * a2 * (1 - a1)) / a.clamp(min=1e-6), a


@stays("workshop: opponent colours", u(5, 3))
def _(rgb):
    r, g, b = rgb.unbind(-1)
    return (r - g) / math.sqrt(2), (r + g - 2 * b) / math.sqrt(6), (r + g + b) / math.sqrt(3)


@stays("workshop: relative strength", n(14))
def _(d):
    gain, loss = F.relu(d).mean(), F.relu(-d).mean()
    return 100 - 100 / (1 + gain / (loss + 1e-9))


@stays("workshop: mortgage", u(4) * 0.06 + 0.02)
def _(rate):
    r = rate / 12
    q = (1 + r) ** 360
    return 250000.0 * r * q / (q - 1)


@stays("workshop: log returns", u(9) * 10 + 95)
def _(p):
    r = torch.log(p[1:] / p[:-1])
    return r, r.std() * math.sqrt(252)


@stays("workshop: portfolio", n(8, 3) * 0.01, torch.softmax(n(3), 0))
def _(r, w):
    c = r - r.mean(0)
    cov = c.T @ c / 7
    return (r.mean(0) * w).sum(), torch.sqrt(w @ cov @ w)


@stays("workshop: logistic regression's step", n(8, 3), n(3), (u(8) > 0.5).float())
def _(x, w, y):
    p = torch.sigmoid(x @ w)
    return w - 0.1 * (x.T @ (p - y) / 8 + 0.01 * w)


@stays("workshop: expectation of a mixture", n(8, 1), n(1, 3), u(1, 3) + 0.5)
def _(x, mean, std):
    log_p = -0.5 * ((x - mean) / std) ** 2 - torch.log(std) - math.log(3.0)
    r = torch.softmax(log_p, 1)
    total = r.sum(0) + 1e-6
    new = (r * x).sum(0) / total
    return new, torch.sqrt((r * (x - new) ** 2).sum(0) / total + 1e-6)


@stays("workshop: Kalman filter, one number", n(4), u(4) + 0.1, n(4))
def _(x, p, z):
    p = p + 0.01
    k = p / (p + 0.25)
    return x + k * (z - x), (1 - k) * p


@stays("workshop: RBF kernel with noise", n(5, 2))
def _(x):
    d = ((x[:, None] - x[None]) ** 2).sum(-1)
    return torch.exp(-0.5 * d / 0.8**2) + 1e-4 * torch.eye(5)


@stays("workshop: Matern kernel", n(5, 2), n(4, 2))
def _(x, y):
    d = torch.cdist(x, y) * math.sqrt(3)
    return (1 + d) * torch.exp(-d)


@stays("workshop: expected improvement", n(6), u(6) + 0.1)
def _(mean, std):
    z = (mean - 0.3) / std
    pdf = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return (mean - 0.3) * torch.special.ndtr(z) + std * pdf
