"""What is to stay as it is written, from many trades: compensated arithmetic, losses, layers, optimizers, schedules.

By somebody who had not seen what the trials say of it: as accurate as float32 lets it be over the inputs that its code
says or that its trade has, or of a form that is meant. Nothing was mended by ``kept_aside("kept aside", name)``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.collected import Left

ALONE = stays = Left(170)
n, u = stays.n, stays.u

X, Y, Z = n(4, 6), n(4, 6), n(4, 6)
W, G, M, V = n(6), n(6), n(6) * 0.1, u(6) * 0.01 + 1e-3
TRUTH = (u(4, 6) > 0.5).float()
CLASSES = torch.tensor([1, 5, 0, 3])


# --- compensated arithmetic, double floats ----------------------------------------------------------------------------
@stays("trade: Neumaier's sum of columns", n(5, 4) * 1e3)
def _(x):
    total, lost = torch.zeros_like(x[0]), torch.zeros_like(x[0])
    for row in x:
        t = total + row
        lost = lost + torch.where(total.abs() >= row.abs(), (total - t) + row, (row - t) + total)
        total = t
    return total + lost


@stays("trade: Chan's merge of two moments", n(4), u(4) * 5, n(4), u(4) * 5)
def _(mean_a, m2_a, mean_b, m2_b):
    delta = mean_b - mean_a
    mean = mean_a + delta * (32 / 96)
    m2 = m2_a + m2_b + delta * delta * (64 * 32 / 96)
    return mean, m2


@stays("trade: double-float product", n(6), n(6) * 1e-8, n(6), n(6) * 1e-8)
def _(a_hi, a_lo, b_hi, b_lo):
    def split(a):
        t = a * 4097.0
        hi = t - (t - a)
        return hi, a - hi

    p = a_hi * b_hi
    (ah, al), (bh, bl) = split(a_hi), split(b_hi)
    e = ((ah * bh - p) + ah * bl + al * bh) + al * bl
    e = e + a_hi * b_lo + a_lo * b_hi
    hi = p + e
    return hi, e - (hi - p)


@stays("trade: double-float quotient", n(6), n(6) * 1e-8, u(6) + 0.5)
def _(a_hi, a_lo, b):
    q = a_hi / b
    p = q * b
    t = b * 4097.0
    bh = t - (t - b)
    bl = b - bh
    t = q * 4097.0
    qh = t - (t - q)
    ql = q - qh
    err = ((qh * bh - p) + qh * bl + ql * bh) + ql * bl
    r = ((a_hi - p) - err + a_lo) / b
    hi = q + r
    return hi, r - (hi - q)


@stays("trade: what a product of floats leaves, in doubles", n(6), n(6))
def _(a, b):
    p = a * b
    return p, (a.double() * b.double() - p.double()).float()


@stays("trade: compensated Horner", u(6) * 2 - 1)
def _(x):
    s, c = torch.full_like(x, 0.125), torch.zeros_like(x)
    for a in (-0.75, 1.5, -1.25, 0.5):
        p = s * x
        t = s * 4097.0
        sh = t - (t - s)
        t = x * 4097.0
        xh = t - (t - x)
        pi = (s - sh) * (x - xh) - (((p - sh * xh) - (s - sh) * xh) - sh * (x - xh))
        new = p + a
        z = new - p
        sigma = (p - (new - z)) + (a - z)
        s, c = new, c * x + (pi + sigma)
    return s + c


@stays("trade: extraction of leading parts", n(8))
def _(p):
    sigma = 2.0**12
    q = (sigma + p) - sigma
    rest = p - q
    return q.sum() + rest.sum()


@stays("trade: three parts of bfloat16", n(6))
def _(x):
    high = x.bfloat16().float()
    middle = (x - high).bfloat16().float()
    low = (x - high - middle).bfloat16()
    return high.bfloat16(), middle.bfloat16(), low


@stays("trade: iterative refinement", n(5, 5) + 5 * torch.eye(5), n(5), n(5))
def _(a, b, x):
    r = b - a @ x
    d = torch.diagonal(a)
    return x + r / d


@stays("trade: running mean with a compensation", n(5, 6), torch.zeros(6))
class RunningMean(nn.Module):
    def forward(self, x, lost):
        mean = torch.zeros_like(lost)
        for k in range(5):
            step = (x[k] - mean) / (k + 1) - lost
            t = mean + step
            lost = (t - mean) - step
            mean = t
        return mean, lost


@stays("trade: Welford with weights", n(5, 3), u(5) + 0.1)
def _(x, w):
    total, mean, s = torch.zeros(()), torch.zeros(3), torch.zeros(3)
    for k in range(5):
        total = total + w[k]
        before = mean
        mean = mean + (w[k] / total) * (x[k] - mean)
        s = s + w[k] * (x[k] - before) * (x[k] - mean)
    return mean, s / total


@stays("trade: vector quantisation, straight through", n(4, 6), n(4, 6))
def _(x, q):
    commit = F.mse_loss(x, q.detach()) * 0.25 + F.mse_loss(q, x.detach())
    return x + (q - x).detach(), commit


@stays("trade: BitNet's ternary weights", n(4, 6))
def _(w):
    scale = w.abs().mean().clamp(min=1e-5)
    q = (w / scale).round().clamp(-1, 1) * scale
    return w + (q - w).detach()


@stays("trade: learned step size quantisation", n(4, 6), 0.1)
def _(x, s):
    g = 1.0 / math.sqrt(24 * 127)
    s = (s - s * g).detach() + s * g
    v = (x / s).clamp(-128, 127)
    v = (v.round() - v).detach() + v
    return v * s


@stays("trade: int8 by the largest", n(4, 6))
def _(x):
    scale = x.abs().amax(-1, keepdim=True).clamp(min=1e-8) / 127.0
    q = torch.round(x / scale).clamp(-127, 127)
    return q * scale


@stays("trade: stochastic rounding to a grid", n(4, 6), u(4, 6))
def _(x, noise):
    return torch.floor(x * 64 + noise) / 64


# --- losses -----------------------------------------------------------------------------------------------------------
@stays("trade: focal Tversky", X, TRUTH)
def _(x, y):
    p = torch.sigmoid(x)
    tp, fp, fn = (p * y).sum(1), (p * (1 - y)).sum(1), ((1 - p) * y).sum(1)
    tversky = (tp + 1.0) / (tp + 0.3 * fp + 0.7 * fn + 1.0)
    return ((1 - tversky) ** 0.75).mean()


@stays("trade: triplet of distances", X, Y, Z)
def _(a, p, q):
    return F.relu(F.pairwise_distance(a, p) - F.pairwise_distance(a, q) + 0.2).mean()


@stays("trade: triplet by hand", X, Y, Z)
def _(a, p, q):
    near = (a - p).pow(2).sum(1)
    far = (a - q).pow(2).sum(1)
    return torch.clamp(near - far + 1.0, min=0.0).mean()


@stays("trade: pinball", X, Y)
def _(x, y):
    taus = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    error = y - x
    return torch.maximum(taus * error, (taus - 1) * error).mean()


@stays("trade: Tweedie's deviance", X, u(4, 6) * 5)
def _(x, y):
    return (-y * torch.exp(-0.5 * x) / -0.5 + torch.exp(0.5 * x) / 0.5).mean()


@stays("trade: Cox's partial likelihood", n(8), (u(8) > 0.4).float())
def _(risk, event):
    return -((risk - torch.logcumsumexp(risk.flip(0), 0).flip(0)) * event).sum() / event.sum().clamp(min=1.0)


@stays("trade: gradient penalty", X)
def _(g):
    return ((torch.sqrt((g * g).sum(1) + 1e-12) - 1) ** 2).mean() * 10


@stays("trade: total variation", u(2, 3, 5, 5))
def _(x):
    dx, dy = x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]
    return torch.sqrt(dx[..., 1:, :] ** 2 + dy[..., :, 1:] ** 2 + 1e-8).mean()


@stays("trade: SSIM", u(1, 1, 8, 8), u(1, 1, 8, 8))
def _(x, y):
    mu_x, mu_y = F.avg_pool2d(x, 3, 1), F.avg_pool2d(y, 3, 1)
    s_x = F.avg_pool2d(x * x, 3, 1) - mu_x**2
    s_y = F.avg_pool2d(y * y, 3, 1) - mu_y**2
    s_xy = F.avg_pool2d(x * y, 3, 1) - mu_x * mu_y
    top = (2 * mu_x * mu_y + 0.01**2) * (2 * s_xy + 0.03**2)
    return (top / ((mu_x**2 + mu_y**2 + 0.01**2) * (s_x + s_y + 0.03**2))).mean()


@stays("trade: circle loss", u(4, 6) * 2 - 1, u(4, 6) * 2 - 1)
def _(sp, sn):
    ap, an = torch.clamp_min(1.25 - sp.detach(), 0.0), torch.clamp_min(sn.detach() + 0.25, 0.0)
    lp, ln = -ap * (sp - 0.75) * 64, an * (sn - 0.25) * 64
    return F.softplus(torch.logsumexp(ln, 1) + torch.logsumexp(lp, 1)).mean()


@stays("trade: supervised contrastive", n(6, 8), torch.tensor([0, 1, 0, 2, 1, 2]))
def _(z, y):
    z = F.normalize(z, dim=1)
    logits = z @ z.T / 0.1
    logits = logits - logits.max(1, keepdim=True).values.detach()
    others = 1 - torch.eye(6)
    same = (y[:, None] == y[None]).float() * others
    log_p = logits - torch.log((torch.exp(logits) * others).sum(1, keepdim=True))
    return -((same * log_p).sum(1) / same.sum(1).clamp(min=1)).mean()


@stays("trade: mixture density network", n(4, 3), n(4, 3), n(4, 3), n(4, 1))
def _(logits, mean, log_scale, y):
    log_p = -0.5 * ((y - mean) * torch.exp(-log_scale)) ** 2 - log_scale - 0.5 * math.log(2 * math.pi)
    return -torch.logsumexp(F.log_softmax(logits, -1) + log_p, -1).mean()


@stays("trade: gaussian NLL of a softplus", X, Y, Z)
def _(mean, raw, y):
    var = F.softplus(raw) + 1e-6
    return 0.5 * (torch.log(var) + (y - mean) ** 2 / var).mean()


@stays("trade: MMD of gaussian kernels", n(5, 3), n(6, 3))
def _(x, y):
    def k(a, b):
        d = torch.cdist(a, b) ** 2
        return sum(torch.exp(-d / (2 * s * s)).mean() for s in (0.5, 1.0, 2.0))

    return k(x, x) + k(y, y) - 2 * k(x, y)


@stays("trade: embeddings by cosine", X, Y, torch.tensor([1.0, -1.0, 1.0, -1.0]))
def _(x, y, label):
    cos = F.cosine_similarity(x, y, dim=1)
    return torch.where(label > 0, 1 - cos, torch.clamp(cos - 0.1, min=0)).mean()


@stays("trade: Dice of squares", torch.sigmoid(X), TRUTH)
def _(p, y):
    return 1 - (2 * (p * y).sum() + 1e-5) / ((p * p).sum() + (y * y).sum() + 1e-5)


# --- layers, norms, activations ---------------------------------------------------------------------------------------
@stays("trade: power iteration", n(5, 4), n(5))
def _(w, x):
    v = F.normalize(w.T @ x, dim=0, eps=1e-12)
    x = F.normalize(w @ v, dim=0, eps=1e-12)
    return w / torch.dot(x, w @ v)


@stays("trade: batch renormalisation", n(8, 6), n(6) * 0.1, u(6) + 0.5)
def _(x, running_mean, running_std):
    mean = x.mean(0)
    std = torch.sqrt(x.var(0, unbiased=False) + 1e-5)
    r = (std / running_std).clamp(1 / 3, 3).detach()
    d = ((mean - running_mean) / running_std).clamp(-5, 5).detach()
    return (x - mean) / std * r + d


@stays("trade: filter response norm", n(2, 3, 4, 4), n(1, 3, 1, 1), n(1, 3, 1, 1), n(1, 3, 1, 1))
def _(x, gamma, beta, tau):
    nu2 = x.pow(2).mean((2, 3), keepdim=True)
    return torch.max(gamma * x * torch.rsqrt(nu2 + 1e-6) + beta, tau)


@stays("trade: EvoNorm S0", n(2, 6, 4, 4), u(1, 6, 1, 1))
def _(x, v):
    g = x.view(2, 3, 2, 4, 4)
    std = torch.sqrt(g.var((2, 3, 4), keepdim=True) + 1e-5).expand_as(g).reshape(2, 6, 4, 4)
    return x * torch.sigmoid(v * x) / std


@stays("trade: weight standardisation", n(4, 3, 3, 3))
def _(w):
    w = w - w.mean((1, 2, 3), keepdim=True)
    return w / (w.flatten(1).std(1).view(-1, 1, 1, 1) + 1e-5)


@stays("trade: scaled weight standardisation", n(4, 3, 3, 3), u(4, 1, 1, 1) + 0.5)
def _(w, gain):
    var, mean = torch.var_mean(w, dim=(1, 2, 3), keepdim=True)
    scale = torch.rsqrt(torch.maximum(var * 27, torch.tensor(1e-4))) * gain
    return w * scale - mean * scale


@stays("trade: mish", X)
def _(x):
    return x * torch.tanh(F.softplus(x))


@stays("trade: swish with a slope", X, 1.5)
def _(x, beta):
    return x * torch.sigmoid(beta * x)


@stays("trade: hard swish", X)
def _(x):
    return x * F.relu6(x + 3) / 6


@stays("trade: SELU by hand", X)
def _(x):
    return 1.0507009873554805 * (x.clamp(min=0) + 1.6732632423543772 * torch.expm1(x.clamp(max=0)))


@stays("trade: snake", X, u(6) + 0.5)
def _(x, alpha):
    return x + torch.sin(alpha * x) ** 2 / (alpha + 1e-9)


@stays("trade: quick GELU", X)
def _(x):
    return x * torch.sigmoid(1.702 * x)


@stays("trade: rotary, halves turned, caches given", n(2, 5, 8), n(5, 8).cos(), n(5, 8).sin())
def _(q, cos, sin):
    half = torch.cat((-q[..., 4:], q[..., :4]), -1)
    return q * cos + half * sin


@stays("trade: rotary of positions", n(5, 8), torch.arange(5.0))
def _(x, t):
    freqs = 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8))
    angle = torch.outer(t, freqs)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[:, ::2], x[:, 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(1)


@stays("trade: axial rotary, scaled positions", n(6, 8), u(6), u(6))
def _(x, h, w):
    f = torch.tensor([1.0, 0.1])
    angle = torch.cat((h[:, None] * f, w[:, None] * f), -1) * math.pi
    a, b = x.chunk(2, -1)
    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), -1)


@stays("trade: gaussian basis of distances", u(8) * 5)
def _(d):
    centers = torch.linspace(0, 5, 10)
    cutoff = 0.5 * (torch.cos(math.pi * d / 5.0) + 1.0) * (d < 5.0).float()
    return torch.exp(-10.0 * (d[:, None] - centers) ** 2) * cutoff[:, None]


@stays("trade: Fourier features", u(6, 2), n(2, 5))
def _(x, b):
    p = 2 * math.pi * x @ b
    return torch.cat((torch.sin(p), torch.cos(p)), -1)


@stays("trade: real-gated recurrence", n(4, 6), n(4, 6), n(6), n(4, 6))
def _(x, r, lam, h):
    log_a = -8.0 * torch.sigmoid(r) * F.softplus(lam)
    return torch.exp(log_a) * h + torch.sqrt(-torch.expm1(2 * log_a)) * x


@stays("trade: GTrXL's gate", X, Y, n(6, 6), n(6, 6), n(6, 6))
def _(x, y, w_r, w_z, w_g):
    r, z = torch.sigmoid(y @ w_r + x @ w_r), torch.sigmoid(y @ w_z + x @ w_z - 2.0)
    h = torch.tanh(y @ w_g + (r * x) @ w_g)
    return (1 - z) * x + z * h


@stays("trade: DropConnect's straight gate", X, n(4, 6))
def _(x, logits):
    soft = torch.sigmoid(logits / 0.66)
    hard = (soft > 0.5).float()
    return x * (hard - soft.detach() + soft)
