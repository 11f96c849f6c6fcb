"""What is to stay as it is written: layers, losses, optimizers, and what is about rounding; by the same hand."""

import math

import torch
from torch.nn import functional as F

from tests.backend.stability.collected import Left

ALONE = alone = Left(7)
n, g = alone.n, alone.generator

SOME = torch.tensor([0.1, 1.7, -2.3, 1e4, 3e-5, -7.7])
OTHERS = torch.tensor([1e-6, 2.9, 1.1, -3.3, 5e-1, 9e3])
TRUTH = torch.tensor([True, False, True, True, False, True])


@alone("two-sum", SOME, OTHERS)
def _(x, y):
    s = x + y
    b = s - x
    return s, (x - (s - b)) + (y - b)


@alone("fast two-sum of double floats", SOME, OTHERS, SOME * 1e-8, OTHERS * 1e-8)
def _(xh, yh, xl, yl):
    s = xh + yh
    v = s - xh
    e = (xh - (s - v)) + (yh - v) + (xl + yl)
    hi = s + e
    return hi, e - (hi - s)


@alone("dekker's product", SOME, OTHERS)
def _(x, y):
    cx = 4097.0 * x
    xh = cx - (cx - x)
    xl = x - xh
    cy = 4097.0 * y
    yh = cy - (cy - y)
    yl = y - yh
    p = x * y
    return p, ((xh * yh - p) + xh * yl + xl * yh) + xl * yl


@alone("kahan's sum", SOME)
def _(x):
    s = torch.zeros(())
    c = torch.zeros(())
    for i in range(6):
        y = x[i] - c
        t = s + y
        c = (t - s) - y
        s = t
    return s


@alone("neumaier's sum", SOME)
def _(x):
    s = x[0]
    c = torch.zeros(())
    for i in range(1, 6):
        t = s + x[i]
        c = c + torch.where(s.abs() >= x[i].abs(), (s - t) + x[i], (x[i] - t) + s)
        s = t
    return s + c


@alone("rounding by a large number", SOME)
def _(x):
    return (x + 12582912.0) - 12582912.0


@alone("low bits beyond bf16", SOME)
def _(x):
    hi = x.to(torch.bfloat16).float()
    return hi, x - hi


@alone("three bf16 terms of a float", SOME)
def _(x):
    h1 = x.bfloat16()
    r1 = x - h1.float()
    h2 = r1.bfloat16()
    return h1, h2, (r1 - h2.float()).bfloat16()


@alone("compensated bf16 optimizer", SOME.bfloat16(), (SOME * 1e-3).bfloat16(), (OTHERS * 1e-3).bfloat16())
def _(p, comp, upd):
    u = upd + comp
    new = p + u
    return new, u - (new - p)


@alone("straight-through round", SOME)
def _(x):
    return x + (torch.round(x) - x).detach()


@alone("straight-through codebook", SOME, OTHERS)
def _(z, q):
    return z + (q - z).detach()


@alone("hard gumbel-softmax", n(3, 5), n(3, 5).abs() + 0.1)
def _(logits, e):
    y = torch.softmax((logits - torch.log(e)) / 0.7, -1)
    hard = F.one_hot(y.argmax(-1), 5).float()
    return hard - y.detach() + y


@alone("gradient reversal", SOME)
def _(x):
    return (2 * x).detach() - x


@alone("fake quantisation", n(4, 8))
def _(x):
    scale = x.abs().amax(-1, keepdim=True) / 127.0
    q = torch.clamp(torch.round(x / scale), -128, 127)
    return x + (q * scale - x).detach()


@alone("learned step size", n(4, 8), torch.tensor(0.1))
def _(x, s):
    gs = s * 0.01
    s2 = (s - gs).detach() + gs
    v = (x / s2).clamp(-8, 7)
    return ((v.round() - v).detach() + v) * s2


@alone("quantisation error fed back", n(4, 8), n(4, 8) * 1e-3)
def _(grad, err):
    c = grad + err
    s = c.abs().mean()
    q = torch.sign(c) * s
    return q, c - q


@alone("stochastic rounding by noise", SOME, torch.rand(6, generator=g))
def _(x, u):
    return torch.floor(x * 16 + u) / 16


@alone("BCE of clamped probabilities", torch.rand(6, generator=g), TRUTH.float())
def _(p, y):
    p = p.clamp(1e-7, 1 - 1e-7)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


@alone("focal loss as torchvision writes it", n(6), TRUTH.float())
def _(x, y):
    p = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    pt = p * y + (1 - p) * (1 - y)
    return (0.25 * y + 0.75 * (1 - y)) * ce * (1 - pt) ** 2


@alone("softmax less its maximum", n(4, 9))
def _(x):
    e = torch.exp(x - x.max(-1, keepdim=True).values)
    return e / e.sum(-1, keepdim=True)


@alone("online softmax, a block", n(4, 9), n(4, 1), n(4, 1).abs() + 1)
def _(x, m, total):
    mn = torch.maximum(m, x.amax(-1, keepdim=True))
    p = torch.exp(x - mn)
    return mn, total * torch.exp(m - mn) + p.sum(-1, keepdim=True)


@alone("layer norm by hand", n(4, 16), n(16), n(16))
def _(x, w, b):
    mu = x.mean(-1, keepdim=True)
    var = (x - mu).pow(2).mean(-1, keepdim=True)
    return (x - mu) / torch.sqrt(var + 1e-5) * w + b


@alone("llama's norm", n(4, 16).bfloat16(), n(16).bfloat16())
def _(x, w):
    h = x.float()
    v = h.pow(2).mean(-1, keepdim=True)
    h = h * torch.rsqrt(v + 1e-6)
    return w * h.to(x.dtype)


@alone("group norm, conv, silu", n(2, 8, 6, 6), n(8, 8, 3, 3))
def _(x, w):
    return F.silu(F.group_norm(F.conv2d(x, w, padding=1), 4))


@alone("batch norm and relu", n(8, 4), n(4), n(4))
def _(x, w, b):
    return F.relu(F.batch_norm(x, None, None, w, b, training=True))


@alone("causal attention by hand", n(2, 2, 5, 8), n(2, 2, 5, 8), n(2, 2, 5, 8))
def _(q, k, v):
    s = q @ k.transpose(-1, -2) / math.sqrt(8)
    m = torch.ones(5, 5).tril().bool()
    return s.masked_fill(~m, float("-inf")).softmax(-1) @ v


@alone("sdpa with alibi", n(2, 2, 5, 8), n(2, 2, 5, 8), n(2, 2, 5, 8), n(2, 5, 5))
def _(q, k, v, b):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=b)


@alone("rotary embedding", n(2, 2, 5, 8))
def _(x):
    f = torch.outer(torch.arange(5).float(), 10000 ** (-torch.arange(0, 8, 2).float() / 8))
    c, s = torch.cat([f, f], -1).cos(), torch.cat([f, f], -1).sin()
    x1, x2 = x.chunk(2, -1)
    return x * c + torch.cat([-x2, x1], -1) * s


@alone("swiglu", n(4, 16), n(16, 32), n(16, 32), n(32, 16))
def _(x, a_, b, c):
    return (F.silu(x @ a_) * (x @ b)) @ c


@alone("gelu by tanh", n(4, 16))
def _(x):
    return 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3)))


@alone("gelu by erf", n(4, 16))
def _(x):
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


@alone("LSTM cell", n(3, 8), n(3, 8), n(3, 8), n(8, 32), n(8, 32))
def _(x, h, c, w, u):
    i, f, o, c2 = (x @ w + h @ u).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(c2)
    return torch.sigmoid(o) * torch.tanh(c), c


@alone("GRU's mixture", n(3, 8), n(3, 8), n(3, 8))
def _(z, h, c):
    z = torch.sigmoid(z)
    return (1 - z) * c + z * h


@alone("shader's hash", n(4, 2))
def _(p):
    v = torch.sin((p * torch.tensor([12.9898, 78.233])).sum(-1)) * 43758.5453
    return v - torch.floor(v)


@alone("xorshift", torch.arange(1, 7))
def _(x):
    x = x ^ (x << 13)
    x = x ^ (x >> 7)
    return x ^ (x << 17)


@alone("adam's step", n(8), n(8), n(8) * 0.1, n(8).abs() * 0.1)
def _(p, grad, m, v):
    m = 0.9 * m + 0.1 * grad
    v = 0.999 * v + 0.001 * grad * grad
    return p - 1e-3 * (m / (1 - 0.9**3)) / (torch.sqrt(v / (1 - 0.999**3)) + 1e-8), m, v


@alone("polyak average", n(8), n(8))
def _(p, q):
    return q + 0.005 * (p - q)


@alone("newton's step for a reciprocal root", SOME.abs(), OTHERS.abs())
def _(x, y):
    return y * (1.5 - 0.5 * x * y * y)


@alone("residual for refinement", n(4, 4), n(4), n(4))
def _(A_, x, b):
    return b - A_ @ x


@alone("how far log1p is from log", SOME.abs())
def _(x):
    return torch.log1p(x) - torch.log(1 + x)


@alone("rounding error of a product in bf16", n(4).bfloat16(), n(4).bfloat16())
def _(x, y):
    return (x * y).float() - x.float() * y.float()


@alone("spacing of the numbers", SOME)
def _(x):
    return torch.nextafter(x, torch.tensor(float("inf"))) - x


@alone("soft dice with smoothing", n(3, 16), torch.randint(0, 2, (3, 16), generator=g).float())
def _(x, y):
    p = torch.sigmoid(x)
    return 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)


@alone(
    "generalised IoU",
    torch.rand(4, 2, generator=g),
    torch.rand(4, 2, generator=g) + 1,
    torch.rand(4, 2, generator=g),
    torch.rand(4, 2, generator=g) + 1,
)
def _(a1, a2, b1, b2):
    i = (torch.minimum(a2, b2) - torch.maximum(a1, b1)).clamp(min=0).prod(-1)
    u = (a2 - a1).prod(-1) + (b2 - b1).prod(-1) - i
    c = (torch.maximum(a2, b2) - torch.minimum(a1, b1)).prod(-1)
    return 1 - (i / u - (c - u) / c)


@alone("PPO's clipped surrogate", n(8) * 0.1, n(8) * 0.1, n(8))
def _(new, old, adv):
    rt = torch.exp(new - old)
    return -torch.min(rt * adv, rt.clamp(0.8, 1.2) * adv).mean()


@alone("generalised advantages", n(5), n(6))
def _(rew, val):
    d = rew + 0.99 * val[1:] - val[:-1]
    out = []
    acc = torch.zeros(())
    for t in range(4, -1, -1):
        acc = d[t] + 0.99 * 0.95 * acc
        out.append(acc)
    return torch.stack(out[::-1])


@alone("snake activation", n(4, 8), n(8).abs() + 0.5)
def _(x, al):
    return x + (1.0 / (al + 1e-9)) * torch.sin(x * al) ** 2


@alone("residual with rezero and dropout's mask", n(4, 8), n(4, 8), torch.tensor(0.01), (n(4, 8) > 0).float())
def _(x, y, al, m):
    return x + al * (y * m / 0.5)


@alone("cross entropy, smoothed", n(4, 9), torch.tensor([1, 0, 8, 3]))
def _(x, y):
    return F.cross_entropy(x, y, label_smoothing=0.1)


@alone("logit softcap", n(4, 9) * 40)
def _(x):
    return 30.0 * torch.tanh(x / 30.0)


@alone("sparsemax's support", n(3, 6))
def _(x):
    z = torch.sort(x, -1, descending=True).values
    k = torch.arange(1, 7)
    c = torch.cumsum(z, -1)
    sup = (1 + k * z > c).sum(-1, keepdim=True)
    tau = (c.gather(-1, sup - 1) - 1) / sup
    return torch.relu(x - tau)


@alone("safe where", SOME)
def _(x):
    ok = x > 0
    return torch.where(ok, torch.log(torch.where(ok, x, torch.ones_like(x))), torch.zeros_like(x))


@alone("welford's update", n(8), n(8), n(8).abs())
def _(x, mean, m2):
    d = x - mean
    mean = mean + d / 5
    return mean, m2 + d * (x - mean)


@alone("total variation", n(1, 3, 6, 6))
def _(x):
    return (x[..., 1:] - x[..., :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()


@alone("remainder by parts of pi", SOME)
def _(x):
    k = torch.round(x * 0.6366197723675814)
    return ((x - k * 1.5703125) - k * 4.837512969970703e-4) - k * 7.549789948768648e-8


@alone("gaussian NLL with a floor", n(6), n(6), n(6).abs())
def _(x, mu, var):
    return 0.5 * (torch.log(var.clamp(min=1e-6)) + (x - mu) ** 2 / var.clamp(min=1e-6)).mean()


@alone("CLIP's loss", n(4, 8), n(4, 8), torch.tensor(2.6))
def _(x, y, s):
    x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    logits = s.exp() * x @ y.T
    t = torch.arange(4)
    return (F.cross_entropy(logits, t) + F.cross_entropy(logits.T, t)) / 2


@alone("MoE's top two gates", n(6, 4))
def _(x):
    p = x.softmax(-1)
    v, i = p.topk(2, -1)
    return v / v.sum(-1, keepdim=True), i


@alone("time embedding in float", torch.tensor([1.0, 500.0, 999.0]))
def _(t):
    f = torch.exp(-math.log(10000) * torch.arange(0, 4).float() / 4)
    x = t[:, None] * f[None]
    return torch.cat([x.cos(), x.sin()], -1)


@alone("sharpened fade, smoothstep", torch.rand(6, generator=g))
def _(x):
    t = x.clamp(0, 1)
    return t * t * t * (t * (6 * t - 15) + 10)
