"""The other part of ``unseen_trades_left``: optimizers, schedules, sampling, flows, sciences, colours, money."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tests.backend.stability.unseen_trades_left import ALONE as ALONE
from tests.backend.stability.unseen_trades_left import CLASSES, TRUTH, G, M, V, W, X, Y, n, stays, u


# --- optimizers, schedules, averages ----------------------------------------------------------------------------------
@stays("trade: AdamW, one tensor at a time", W, G, M, V)
def _(p, g, m, v):
    p = p * (1 - 1e-3 * 0.01)
    m = m.lerp(g, 0.1)
    v = v * 0.999 + 0.001 * g * g
    denom = (v.sqrt() / math.sqrt(1 - 0.999**7)).add(1e-8)
    return p.addcdiv(m, denom, value=-1e-3 / (1 - 0.9**7)), m, v


@stays("trade: Adamax", W, G, M, u(6))
def _(p, g, m, top):
    m = 0.9 * m + 0.1 * g
    top = torch.maximum(0.999 * top, g.abs() + 1e-8)
    return p - (2e-3 / (1 - 0.9**3)) * m / top


@stays("trade: Yogi", W, G, M, V)
def _(p, g, m, v):
    g2 = g * g
    m = 0.9 * m + 0.1 * g
    v = v - 0.001 * torch.sign(v - g2) * g2
    return p - 0.01 * m / (v.sqrt() + 1e-3)


@stays("trade: NAdam, step a tensor", W, G, M, V, 9.0)
def _(p, g, m, v, step):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    m_hat = 0.9 * m / (1 - 0.9 ** (step + 1)) + 0.1 * g / (1 - 0.9**step)
    return p - 2e-3 * m_hat / (torch.sqrt(v / (1 - 0.999**step)) + 1e-8)


@stays("trade: Adan", W, G, n(6), M, n(6) * 0.1, V)
def _(p, g, last, m, d, v):
    diff = g - last
    m, d = m + 0.02 * (g - m), d + 0.08 * (diff - d)
    v = v + 0.01 * ((g + 0.92 * diff) ** 2 - v)
    return (p - 1e-3 * (m + 0.92 * d) / (v.sqrt() + 1e-8)) / (1 + 1e-3 * 0.02)


@stays("trade: adaptive gradient clipping", n(4, 6), n(4, 6))
def _(w, g):
    limit = w.norm(dim=1, keepdim=True).clamp(min=1e-3) * 0.01
    size = g.norm(dim=1, keepdim=True)
    return torch.where(size > limit, g * (limit / size.clamp(min=1e-6)), g)


@stays("trade: gradient centralised", n(4, 6))
def _(g):
    return g - g.mean(1, keepdim=True)


@stays("trade: lookahead", W, G)
def _(slow, fast):
    return slow + 0.5 * (fast - slow)


@stays("trade: average without bias", W, G, 12.0)
def _(average, x, step):
    average = 0.99 * average + (1 - 0.99) * x
    return average / (1 - 0.99**step)


@stays("trade: Karras's power average", W, G, 100.0)
def _(average, x, step):
    beta = (1 - 1 / step) ** (6.94 + 1)
    return beta * average + (1 - beta) * x


@stays("trade: warm-up and cosine", torch.tensor([0.0, 50.0, 400.0, 999.0]))
def _(step):
    warm = step / 100
    t = ((step - 100) / 900).clamp(0, 1)
    return 3e-4 * torch.where(step < 100, warm, 0.1 + 0.9 * 0.5 * (1 + torch.cos(math.pi * t)))


@stays("trade: Noam's schedule", torch.tensor([1.0, 400.0, 4000.0, 90000.0]))
def _(step):
    return 512**-0.5 * torch.minimum(step**-0.5, step * 4000**-1.5)


@stays("trade: polynomial decay", torch.tensor([0.0, 10.0, 99.0]))
def _(step):
    return (1e-3 - 1e-5) * (1 - step.clamp(max=100) / 100) ** 2 + 1e-5


@stays("trade: exponential annealing", torch.tensor([0.0, 1e3, 2e4]))
def _(step):
    return 0.05 + (1.0 - 0.05) * torch.exp(-step / 5000.0)


@stays("trade: cyclical KL weight", torch.tensor([0.0, 3.0, 17.0]))
def _(step):
    t = (step % 10) / 10
    return torch.sigmoid(12 * (t - 0.5)).clamp(max=1.0)


@stays("trade: sigmoid noise schedule", u(6))
def _(t):
    lo, hi = 1 / (1 + math.exp(3)), 1 / (1 + math.exp(-3))
    return ((hi - torch.sigmoid(t * 6 - 3)) / (hi - lo)).clamp(1e-9, 1.0)


# --- sampling, distributions, flows -----------------------------------------------------------------------------------
@stays("trade: Box-Muller", u(6) * 0.99 + 0.005, u(6))
def _(a, b):
    return torch.sqrt(-2.0 * torch.log(a)) * torch.cos(2 * math.pi * b)


@stays("trade: waiting times", u(6) * 0.99, u(6) + 0.5)
def _(v, rate):
    return -torch.log1p(-v) / rate


@stays("trade: binary concrete", u(4, 6) * 0.98 + 0.01, X)
def _(v, logits):
    return torch.sigmoid((torch.log(v) - torch.log1p(-v) + logits) / 0.5)


@stays("trade: nucleus", n(4, 6))
def _(logits):
    ordered, at = torch.sort(logits, descending=True, dim=-1)
    total = torch.softmax(ordered, -1).cumsum(-1)
    gone = total - torch.softmax(ordered, -1) > 0.9
    return logits.masked_fill(gone.scatter(1, at, gone), float("-inf"))


@stays("trade: penalty of repetitions", n(4, 6), TRUTH)
def _(logits, seen):
    punished = torch.where(logits > 0, logits / 1.2, logits * 1.2)
    return torch.where(seen > 0, punished, logits)


@stays("trade: affine coupling, forwards", X, n(3, 6))
def _(x, w):
    a, b = x.chunk(2, 1)
    s, t = (a @ w).chunk(2, 1)
    s = torch.tanh(s) * 2.0
    return torch.cat((a, b * torch.exp(s) + t), 1), s.sum(1)


@stays("trade: affine coupling, backwards", X, n(3, 6))
def _(y, w):
    a, b = y.chunk(2, 1)
    s, t = (a @ w).chunk(2, 1)
    s = torch.tanh(s) * 2.0
    return torch.cat((a, (b - t) * torch.exp(-s)), 1), -s.sum(1)


@stays("trade: dequantised pixels to logits", u(4, 6), u(4, 6))
def _(x, noise):
    x = (x * 255 + noise) / 256
    x = 0.05 + 0.9 * x
    y = torch.log(x) - torch.log1p(-x)
    return y, (F.softplus(y) + F.softplus(-y) + math.log(0.9)).sum(1)


@stays("trade: planar flow", X, n(6), n(6), 0.3)
def _(z, w, v, b):
    h = torch.tanh(z @ w + b)
    psi = (1 - h * h)[:, None] * w
    return z + v * h[:, None], torch.log(torch.abs(1 + psi @ v) + 1e-6)


@stays("trade: kernel density in logarithms", n(5), n(8))
def _(x, data):
    z = (x[:, None] - data[None]) / 0.3
    return torch.logsumexp(-0.5 * z * z, 1) - math.log(8 * 0.3 * math.sqrt(2 * math.pi))


# --- returns, metrics, statistics -------------------------------------------------------------------------------------
@stays("trade: lambda returns", n(5, 3), n(6, 3), (u(5, 3) > 0.1).float())
def _(reward, value, going):
    last, out = value[-1], []
    for t in range(4, -1, -1):
        last = reward[t] + 0.99 * going[t] * (0.05 * value[t + 1] + 0.95 * last)
        out.append(last)
    return torch.stack(out[::-1])


@stays("trade: symlog of a value", X, Y)
def _(x, y):
    target = torch.sign(y) * torch.log1p(y.abs())
    return F.mse_loss(x, target), torch.sign(x) * torch.expm1(x.abs())


@stays("trade: projected categorical", torch.softmax(n(4, 5), -1), n(4), (u(4) > 0.2).float())
def _(p, reward, going):
    z = torch.linspace(-10, 10, 5)
    tz = (reward[:, None] + 0.99 * going[:, None] * z).clamp(-10, 10)
    share = (1 - ((tz[:, None, :] - z[None, :, None]).abs() / 5.0)).clamp(0, 1)
    return (share * p[:, None, :]).sum(-1)


@stays("trade: PopArt", n(6), 0.5, 2.0)
def _(x, mean, second):
    new_mean, new_second = mean + 1e-3 * (x.mean() - mean), second + 1e-3 * ((x * x).mean() - second)
    std = torch.sqrt((new_second - new_mean**2).clamp(min=1e-4))
    return (x - new_mean) / std


@stays("trade: F1 of soft counts", torch.sigmoid(X), TRUTH)
def _(p, y):
    tp, fp, fn = (p * y).sum(0), (p * (1 - y)).sum(0), ((1 - p) * y).sum(0)
    return (2 * tp / (2 * tp + fp + fn + 1e-8)).mean()


@stays("trade: Brier score", X, CLASSES)
def _(x, y):
    return ((torch.softmax(x, -1) - F.one_hot(y, 6).float()) ** 2).sum(-1).mean()


@stays("trade: Matthews's correlation", u(4) * 40 + 5, u(4) * 40 + 5, u(4) * 9 + 1, u(4) * 9 + 1)
def _(tp, tn, fp, fn):
    return (tp * tn - fp * fn) / torch.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn) + 1e-8)


@stays("trade: covariance of centred rows", n(8, 4))
def _(x):
    x = x - x.mean(0, keepdim=True)
    return x.T @ x / (x.shape[0] - 1)


@stays("trade: Welch's statistic", n(8), n(9))
def _(a, b):
    return (a.mean() - b.mean()) / torch.sqrt(a.var() / 8 + b.var() / 9)


@stays("trade: Wilson's interval", u(5), torch.tensor([10.0, 40.0, 100.0, 7.0, 900.0]))
def _(p, count):
    z = 1.96
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * torch.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return centre - half, centre + half


@stays("trade: Hellinger's distance", torch.softmax(n(4, 6), -1), torch.softmax(n(4, 6), -1))
def _(p, q):
    return torch.sqrt(((p.sqrt() - q.sqrt()) ** 2).sum(-1) + 1e-12) / math.sqrt(2)


@stays("trade: earth mover's distance on a line", torch.softmax(n(4, 6), -1), torch.softmax(n(4, 6), -1))
def _(p, q):
    return (torch.cumsum(p, -1) - torch.cumsum(q, -1)).abs().sum(-1)


# --- physics, geometry, colours, money --------------------------------------------------------------------------------
@stays("trade: heat equation, one step", n(12))
def _(v):
    lap = (v[2:] - 2 * v[1:-1] + v[:-2]) / 0.1**2
    return v[1:-1] + 0.002 * lap


@stays("trade: Lorenz by Runge and Kutta", n(3) * 5)
def _(s):
    def f(s):
        x, y, z = s[0], s[1], s[2]
        return torch.stack((10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z))

    k1 = f(s)
    k2 = f(s + 0.005 * k1)
    k3 = f(s + 0.005 * k2)
    k4 = f(s + 0.01 * k3)
    return s + 0.01 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@stays("trade: softened gravity", n(5, 3), u(5))
def _(x, mass):
    d = x[None] - x[:, None]
    r2 = (d * d).sum(-1) + 0.01
    return (mass[None, :, None] * d * r2[..., None] ** -1.5).sum(1)


@stays("trade: Arrhenius", u(6) * 700 + 280)
def _(t):
    return 1e13 * torch.exp(-75000.0 / (8.314 * t))


@stays("trade: Planck's law", u(6) * 5 + 0.1)
def _(x):
    return x**3 / torch.expm1(x)


@stays("trade: damped oscillator", u(6) * 10)
def _(t):
    return torch.exp(-0.2 * t) * (torch.cos(1.5 * t) + 0.2 / 1.5 * torch.sin(1.5 * t))


@stays("trade: epidemic, one day", u(4), u(4) * 0.1)
def _(s, i):
    infected = 0.3 * s * i
    recovered = 0.1 * i
    return s - infected, i + infected - recovered, 1 - s - i + recovered


@stays("trade: Magnus's vapour pressure", u(6) * 40 - 10, u(6))
def _(t, humidity):
    e = humidity * 6.112 * torch.exp(17.62 * t / (243.12 + t))
    return 216.7 * e / (273.15 + t)


@stays("trade: Nernst's potential", u(4) * 100 + 5, u(4) * 100 + 5)
def _(outside, inside):
    return 8.314 * 310.0 / 96485.0 * torch.log(outside / inside)


@stays("trade: quaternion turns a vector", F.normalize(n(4, 4), dim=-1), n(4, 3))
def _(q, v):
    w, r = q[:, :1], q[:, 1:]
    t = 2 * torch.cross(r, v, dim=-1)
    return v + w * t + torch.cross(r, t, dim=-1)


@stays("trade: matrix of a quaternion", n(4, 4))
def _(q):
    q = F.normalize(q, dim=-1)
    w, x, y, z = q.unbind(-1)
    rows = (
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack(rows, -1).view(-1, 3, 3)


@stays("trade: rotation of six numbers", n(4, 6))
def _(d):
    a, b = d[:, :3], d[:, 3:]
    x = F.normalize(a, dim=-1)
    y = F.normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.cross(x, y, dim=-1)), -2)


@stays("trade: pinhole camera", n(5, 3), 500.0)
def _(p, focal):
    z = p[:, 2].abs().clamp(min=0.1)
    return torch.stack((focal * p[:, 0] / z + 320.0, focal * p[:, 1] / z + 240.0), -1)


@stays("trade: great circle", u(4) * 3 - 1.5, u(4) * 6 - 3, u(4) * 3 - 1.5, u(4) * 6 - 3)
def _(lat1, lon1, lat2, lon2):
    a = torch.sin((lat2 - lat1) / 2) ** 2 + torch.cos(lat1) * torch.cos(lat2) * torch.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371.0 * torch.asin(torch.sqrt(a.clamp(0, 1)))


@stays("trade: chamfer distance", n(5, 3), n(6, 3))
def _(x, y):
    d = ((x[:, None] - y[None]) ** 2).sum(-1)
    return d.min(1).values.mean() + d.min(0).values.mean()


@stays("trade: luma and chroma", u(3, 4, 4))
def _(rgb):
    r, g, b = rgb[0], rgb[1], rgb[2]
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return y, (b - y) * 0.564 + 0.5, (r - y) * 0.713 + 0.5


@stays("trade: linear to sRGB", u(4, 6))
def _(x):
    x = x.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


@stays("trade: filmic tone mapping", u(4, 6) * 8)
def _(x):
    return ((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0, 1)


@stays("trade: saturation and value", u(5, 3))
def _(rgb):
    top, low = rgb.amax(-1), rgb.amin(-1)
    return (top - low) / (top + 1e-8), top


@stays("trade: Lab's lightness", u(6))
def _(y):
    f = torch.where(y > 216 / 24389, y.clamp(min=216 / 24389) ** (1 / 3), (24389 / 27 * y + 16) / 116)
    return 116 * f - 16


@stays("trade: Black and Scholes", u(5) * 40 + 80, u(5) * 40 + 80, u(5) + 0.1)
def _(spot, strike, years):
    spread = 0.2 * torch.sqrt(years)
    d1 = (torch.log(spot / strike) + (0.03 + 0.02) * years) / spread
    d2 = d1 - spread
    cdf = torch.special.ndtr
    return spot * cdf(d1) - strike * torch.exp(-0.03 * years) * cdf(d2)


@stays("trade: Sharpe's ratio", n(30) * 0.01)
def _(r):
    return (r.mean() - 0.0001) / (r.std() + 1e-8) * math.sqrt(252)


@stays("trade: weighted volatility", n(6) * 0.01)
def _(r):
    var = r[0] ** 2
    for k in range(1, 6):
        var = 0.94 * var + 0.06 * r[k] ** 2
    return torch.sqrt(var * 252)


@stays("trade: drawdown", n(12).cumsum(0) * 0.01 + 1)
def _(wealth):
    top = torch.cummax(wealth, 0).values
    return ((wealth - top) / top).min()


@stays("trade: present value of payments", u(5) * 100, u(1) * 0.08 + 0.01)
def _(cash, rate):
    return (cash / (1 + rate) ** torch.arange(1.0, 6.0)).sum()
