"""The other half of ``unseen_practice_left``: optimizers, schedules, samplers, sciences, compensated arithmetic."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.unseen_practice_left import ALONE as ALONE
from tests.backend.stability.unseen_practice_left import BRAIN, HALF, TRUTH, X, Y, Z, n, stays, u

W, G, M, V = n(6), n(6), n(6) * 0.1, u(6) * 0.01 + 1e-3


# --- optimizers -------------------------------------------------------------------------------------------------------
@stays("practice: Nesterov's momentum", W, G, M)
def _(w, g, m):
    g = g + 1e-4 * w
    m = 0.9 * m + g
    return w - 0.1 * (g + 0.9 * m), m


@stays("practice: Adagrad", W, G, V)
def _(w, g, total):
    total = total + g * g
    return w - 0.01 * g / (total.sqrt() + 1e-10), total


@stays("practice: Adadelta", W, G, V, V * 2)
def _(w, g, square, delta):
    square = square * 0.9 + g * g * 0.1
    step = (delta + 1e-6).sqrt() / (square + 1e-6).sqrt() * g
    return w - step, square, delta * 0.9 + step * step * 0.1


@stays("practice: AMSGrad, step a tensor", W, G, M, V, V * 3, 12.0)
def _(w, g, m, v, top, step):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g.square()
    top = torch.maximum(top, v)
    size = 1e-3 / (1 - 0.9**step)
    return w - size * m / (top.sqrt() / (1 - 0.999**step).sqrt() + 1e-8)


@stays("practice: Adam, decays given", W, G, M, V, 0.9, 0.999, 4.0)
def _(w, g, m, v, beta1, beta2, step):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    return w - 1e-3 * m_hat / (torch.sqrt(v_hat) + 1e-8)


@stays("practice: RAdam's rectification", torch.tensor([6.0, 20.0, 400.0]))
def _(step):
    top = 2 / (1 - 0.999) - 1
    rho = top - 2 * step * 0.999**step / (1 - 0.999**step)
    return torch.sqrt((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho))


@stays("practice: Adafactor", n(4, 6), u(4) + 0.1, u(6) + 0.1)
def _(g, row, column):
    row = 0.9 * row + 0.1 * (g.square() + 1e-30).mean(-1)
    column = 0.9 * column + 0.1 * (g.square() + 1e-30).mean(-2)
    update = g * (row / row.mean()).rsqrt()[:, None] * column.rsqrt()[None]
    return update / (update.square().mean().sqrt() / 1.0).clamp(min=1.0)


@stays("practice: Muon", n(4, 6))
def _(g):
    x = g / (g.norm() + 1e-7)
    for _ in range(3):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x


@stays("practice: Sophia", W, M, V)
def _(w, m, hessian):
    return w - 1e-3 * (m / (0.04 * hessian).clamp(min=1e-12)).clamp(-1, 1)


@stays("practice: AdaBelief", W, G, M, V)
def _(w, g, m, s):
    m = 0.9 * m + 0.1 * g
    s = 0.999 * s + 0.001 * (g - m) ** 2 + 1e-16
    return w - 1e-3 * m / (s.sqrt() + 1e-8), s


@stays("practice: LARS", W, G)
def _(w, g):
    p, q = w.norm(), g.norm()
    rate = torch.where((p > 0) & (q > 0), 0.001 * p / (q + 1e-4 * p + 1e-8), 1.0)
    return w - rate * (g + 1e-4 * w)


@stays("practice: average over steps", W, M, 5.0)
def _(average, w, count):
    return average + (w - average) / (count + 1)


@stays("practice: warm-up of an average", W, M, 5.0)
def _(average, w, step):
    decay = torch.clamp((1 + step) / (10 + step), max=0.9999)
    return decay * average + (1 - decay) * w


# --- schedules, samplers ----------------------------------------------------------------------------------------------
@stays("practice: cosine annealing", torch.arange(0.0, 100.0, 9.0))
def _(t):
    return 1e-5 + 0.5 * (1e-3 - 1e-5) * (1 + torch.cos(math.pi * t / 100))


@stays("practice: schedule of the transformer", torch.arange(1.0, 9000.0, 700.0))
def _(step):
    return 512**-0.5 * torch.minimum(step**-0.5, step * 4000**-1.5)


@stays("practice: polynomial decay", torch.arange(0.0, 100.0, 9.0))
def _(t):
    return 0.01 * (1 - t / 100) ** 0.9


@stays("practice: sigmas of Karras", torch.linspace(0, 1, 8))
def _(ramp):
    low, high = 0.03 ** (1 / 7), 15.0 ** (1 / 7)
    return (high + ramp * (low - high)) ** 7


@stays("practice: ancestral Euler", X, Y, torch.tensor(5.0), torch.tensor(3.0), Z)
def _(x, denoised, now, then, noise):
    up = torch.minimum(then, (then**2 * (now**2 - then**2) / now**2) ** 0.5)
    down = (then**2 - up**2) ** 0.5
    return x + (x - denoised) / now * (down - now) + noise * up


@stays("practice: Heun's corrector", X, Y, Z, 5.0, 3.0)
def _(x, first, second, now, then):
    d = (x - first) / now
    moved = x + d * (then - now)
    return x + 0.5 * (d + (moved - second) / then) * (then - now)


@stays("practice: posterior of DDPM", X, Y, u(4, 1) * 0.4 + 0.1, u(4, 1) * 0.4 + 0.5)
def _(x, x0, bar, bar_before):
    alpha = bar / bar_before
    beta = 1 - alpha
    mean = bar_before.sqrt() * beta / (1 - bar) * x0 + alpha.sqrt() * (1 - bar_before) / (1 - bar) * x
    return mean, beta * (1 - bar_before) / (1 - bar)


@stays("practice: consistency boundary", X, u(4, 1) * 80 + 0.01)
def _(x, t):
    skip = 0.5**2 / ((t - 0.002) ** 2 + 0.5**2)
    out = 0.5 * (t - 0.002) / (t**2 + 0.5**2) ** 0.5
    return skip * x + out * torch.tanh(x)


@stays("practice: shift of flow times", u(8))
def _(t):
    return 3.0 * t / (1 + (3.0 - 1) * t)


@stays("practice: guidance rescaled", X, Y)
def _(cond, uncond):
    guided = uncond + 5.0 * (cond - uncond)
    rescaled = guided * (cond.std(1, keepdim=True) / guided.std(1, keepdim=True))
    return 0.7 * rescaled + (1 - 0.7) * guided


@stays("practice: nucleus", X)
def _(logits):
    probs, order = torch.sort(logits.softmax(-1), descending=True, dim=-1)
    out = torch.cumsum(probs, dim=-1) - probs > 0.9
    probs = probs.masked_fill(out, 0.0)
    return probs / probs.sum(-1, keepdim=True), order


@stays("practice: typical tokens", X)
def _(logits):
    log_p = F.log_softmax(logits, -1)
    entropy = -(log_p * log_p.exp()).nansum(-1, keepdim=True)
    return (-log_p - entropy).abs()


@stays("practice: speculative residual", X, Y)
def _(target, draft):
    p, q = target.softmax(-1), draft.softmax(-1)
    rest = torch.clamp(p - q, min=0)
    return rest / rest.sum(-1, keepdim=True), torch.clamp(p / q, max=1.0)


# --- physics, finance, graphics ---------------------------------------------------------------------------------------
@stays("practice: velocity Verlet", n(5, 3), n(5, 3), n(5, 3), n(5, 3))
def _(x, v, a, new):
    return x + 0.01 * v + 0.5 * 1e-4 * a, v + 0.5 * 0.01 * (a + new)


@stays("practice: heat equation, a step", n(16))
def _(heat):
    return heat + 0.1 * (torch.roll(heat, 1, 0) - 2 * heat + torch.roll(heat, -1, 0))


@stays("practice: softened gravity", n(5, 3))
def _(x):
    d = x[None] - x[:, None]
    return (d * ((d * d).sum(-1, keepdim=True) + 0.01) ** -1.5).sum(1)


@stays("practice: Lennard-Jones", u(8) + 0.9)
def _(r):
    six = (1.0 / r) ** 6
    return 4 * (six * six - six)


@stays("practice: poly6 kernel", u(8) * 0.9)
def _(r):
    return 315 / (64 * math.pi) * torch.where(r < 1, (1 - r * r) ** 3, 0.0)


@stays("practice: geometric Brownian motion", n(8))
def _(z):
    return 100.0 * torch.exp((0.05 - 0.5 * 0.2**2) * 0.5 + 0.2 * math.sqrt(0.5) * z)


@stays("practice: drawdown", u(16) + 1)
def _(price):
    top = torch.cummax(price, 0).values
    return ((top - price) / top).max()


@stays("practice: price of a bond", u(4) * 0.05 + 0.01)
def _(rate):
    t = torch.arange(1.0, 11.0)
    return (3.0 / (1 + rate[:, None]) ** t).sum(-1) + 100.0 / (1 + rate) ** 10


@stays("practice: GGX", u(8), u(8) * 0.9 + 0.05)
def _(n_h, roughness):
    a2 = roughness.square().square()
    below = n_h * n_h * (a2 - 1) + 1
    return a2 / (math.pi * below * below)


@stays("practice: Schlick's Fresnel", u(8))
def _(cos):
    return 0.04 + (1 - 0.04) * (1 - cos).clamp(0, 1) ** 5


@stays("practice: sRGB to linear", u(8))
def _(c):
    return torch.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


@stays("practice: tone mapping of ACES", u(8) * 4)
def _(x):
    return ((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0, 1)


@stays("practice: smooth union of distances", n(8), n(8))
def _(a, b):
    h = (0.5 + 0.5 * (b - a) / 0.2).clamp(0, 1)
    return b * (1 - h) + a * h - 0.2 * h * (1 - h)


@stays("practice: eigenvalues of a splat", u(4) + 0.5, u(4) * 0.3, u(4) + 0.5)
def _(a, b, c):
    determinant = a * c - b * b
    half = 0.5 * (a + c)
    return half + torch.sqrt((half * half - determinant).clamp(min=0.1))


@stays("practice: depth from the buffer", u(8) * 0.9)
def _(d):
    return 0.1 * 100 / (100 - d * (100 - 0.1))


@stays("practice: barycentric coordinates", n(3, 2), n(8, 2))
def _(t, p):
    (ax, ay), (bx, by), (cx, cy) = t[0], t[1], t[2]
    area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
    a = ((by - cy) * (p[:, 0] - cx) + (cx - bx) * (p[:, 1] - cy)) / area
    b = ((cy - ay) * (p[:, 0] - cx) + (ax - cx) * (p[:, 1] - cy)) / area
    return torch.stack([a, b, 1 - a - b], -1)


# --- compensated arithmetic, low precision ----------------------------------------------------------------------------
@stays("practice: two parts of bfloat16", n(8), n(8))
def _(a, b):
    high = a.to(BRAIN)
    low = (a - high.float()).to(BRAIN)
    return high.float() * b + low.float() * b


@stays("practice: mean and its correction", n(16) * 1e3)
def _(x):
    mean = x.mean()
    return mean + (x - mean).mean()


@stays("practice: root and its residual", u(8) * 9 + 1)
def _(x):
    s = x.sqrt()
    return s + (x - s * s) / (2 * s)


@stays("practice: growing an expansion", n(4), n(1) * 1e6)
class Grow(nn.Module):
    def forward(self, parts, b):
        kept, q = [], b[0]
        for part in parts:
            s = q + part
            bv = s - q
            kept.append((q - (s - bv)) + (part - bv))
            q = s
        return torch.stack([*kept, q])


@stays("practice: compensated Horner", n(5), n(1)[0])
def _(coefficients, x):
    total, lost = coefficients[4], torch.zeros(())
    for i in (3, 2, 1, 0):
        product = total * x
        new = product + coefficients[i]
        z = new - product
        lost = lost * x + ((product - (new - z)) + (coefficients[i] - z))
        total = new
    return total + lost


@stays("practice: cumulative sum of Kahan", n(6) * 1e3)
def _(x):
    total, lost, found = torch.zeros(()), torch.zeros(()), []
    for i in range(6):
        y = x[i] - lost
        t = total + y
        lost = (t - total) - y
        total = t
        found.append(total)
    return torch.stack(found)


@stays("practice: remainder by floor", n(8) * 10, u(8) + 1)
def _(x, y):
    return x - torch.floor(x / y) * y


@stays("practice: float16 network, scaled loss", X.to(HALF), n(6, 3).to(HALF), n(4, 3).to(HALF))
def _(x, w, y):
    return F.mse_loss((F.relu(x) @ w).float(), y.float()) * 1024


@stays("practice: bfloat16 SwiGLU", X.to(BRAIN), n(6, 8).to(BRAIN), n(6, 8).to(BRAIN))
def _(x, a, b):
    return F.silu(x @ a) * (x @ b)


@stays("practice: float16 layer norm and residual", X.to(HALF), Y.to(HALF))
def _(x, y):
    return x + F.layer_norm(y, (6,))


@stays("practice: float16 cross-entropy in float", X.to(HALF), torch.tensor([1, 5, 0, 3]))
def _(x, y):
    return F.cross_entropy(x.float(), y)


@stays("practice: bfloat16 rotary in float", n(2, 5, 4).to(BRAIN), n(5, 2))
def _(x, angle):
    a, b = x.float().chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)


@stays("practice: bfloat16 gate", X.to(BRAIN), Y.to(BRAIN), Z.to(BRAIN))
def _(g, a, b):
    g = torch.sigmoid(g)
    return g * a + (1 - g) * b


@stays("practice: float16 dropout mask", X.to(HALF), TRUTH.to(HALF))
def _(x, mask):
    return x * mask * (1.0 / 0.9)
