"""What is to stay as it is written: what is stable already, compensated, or the formula of a well-kept repository.

By the hand of ``unseen_families``: name: (function, inputs). The same two halves.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.collected import Left

ALONE = stays = Left(21)
n, u = stays.n, stays.u

X, Y = n(4, 6), n(4, 6)
P = torch.softmax(n(4, 6), -1)
CLASSES = torch.tensor([0, 5, 2, 3])
WIDE = torch.tensor([1e8, 1.0, -1e8, 3e-4, 7.5, -2.25])
FINE = torch.tensor([1e-3, 3.0, 2e3, 7e-9, -1e-4, 0.125])
TRUTH = (u(4, 6) > 0.5).float()
SEEN = torch.tensor([[True, True, False, True, True, False]] * 4)


# --- stable already ---------------------------------------------------------------------------------------------------
@stays("softmax less the maximum", X)
def _(x):
    e = torch.exp(x - x.max(dim=-1, keepdim=True).values)
    return e / e.sum(dim=-1, keepdim=True)


@stays("softmax less the detached amax, module", X)
class SafeSoftmax(nn.Module):
    def forward(self, x):
        x = x - x.amax(1, keepdim=True).detach()
        e = x.exp()
        return e / e.sum(1, keepdim=True)


@stays("log-sum-exp less the maximum", X)
def _(x):
    top = x.amax(-1)
    return top + torch.log(torch.sum(torch.exp(x - top[:, None]), -1))


@stays("log-softmax less log-sum-exp", X)
def _(x):
    return x - torch.logsumexp(x, dim=-1, keepdim=True)


@stays("softplus by maximum and log1p", X)
def _(x):
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


@stays("BCE with logits by hand", X, TRUTH)
def _(x, y):
    return (torch.relu(x) - x * y + torch.log1p(torch.exp(-torch.abs(x)))).mean()


@stays("logaddexp by maximum and log1p", X, Y)
def _(a, b):
    return torch.maximum(a, b) + torch.log1p(torch.exp(-(a - b).abs()))


@stays("log1mexp of Maechler", -u(8) * 5 - 0.01)
def _(x):
    return torch.where(x > -math.log(2), torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))


@stays("sigmoid of either sign", X)
def _(x):
    z = torch.exp(-x.abs())
    return torch.where(x >= 0, 1 / (1 + z), z / (1 + z))


@stays("variance of two passes", X)
def _(x):
    return ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1)


@stays("hypot by the larger", WIDE, FINE)
def _(x, y):
    big, small = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    return big * torch.sqrt(1 + (small / big) ** 2)


@stays("entropy of log-softmax", X)
def _(x):
    log_p = F.log_softmax(x, -1)
    return -(log_p.exp() * log_p).sum(-1)


@stays("distillation", X, Y)
def _(student, teacher):
    t = 4.0
    return F.kl_div(F.log_softmax(student / t, 1), F.softmax(teacher / t, 1), reduction="batchmean") * t * t


@stays("safe where", X)
def _(x):
    positive = x > 0
    return torch.where(positive, torch.log(torch.where(positive, x, 1.0)), 0.0)


@stays("geometric mean of logarithms", u(4, 6) + 0.1)
def _(x):
    return x.log().mean(-1).exp()


@stays("atanh by log1p", u(6) * 0.9)
def _(x):
    return 0.5 * (torch.log1p(x) - torch.log1p(-x))


# --- compensated ------------------------------------------------------------------------------------------------------
@stays("two-sum of Knuth", WIDE, FINE)
def _(a, b):
    s = a + b
    z = s - a
    return s, (a - (s - z)) + (b - z)


@stays("kahan over a loop, module", WIDE)
class KahanSum(nn.Module):
    def forward(self, x):
        total, lost = x[0], torch.zeros(())
        for one in x[1:]:
            y = one - lost
            new = total + y
            lost = (new - total) - y
            total = new
        return total


@stays("klein's second order", WIDE)
def _(x):
    s, cs, ccs = x[0] * 0, x[0] * 0, x[0] * 0
    for one in x:
        t = s + one
        c = torch.where(s.abs() >= one.abs(), (s - t) + one, (one - t) + s)
        s = t
        t = cs + c
        cc = torch.where(cs.abs() >= c.abs(), (cs - t) + c, (c - t) + cs)
        cs = t
        ccs = ccs + cc
    return s + cs + ccs


@stays("rounded to steps of a constant", FINE)
def _(x):
    magic = 1.5 * 2**23
    return (x + magic) - magic


@stays("kahan's step in bfloat16", n(6), n(6) * 1e-3, n(6) * 1e-6)
def _(weight, update, compensation):
    compensation = compensation + update
    before = weight.clone()
    weight = weight + compensation
    return weight, compensation + (before - weight)


@stays("expm1 of Kahan", FINE)
def _(x):
    e = torch.exp(x)
    return torch.where(e == 1, x, (e - 1) * x / torch.log(e))


@stays("fake quantization, straight through", X)
def _(x):
    scale = x.abs().amax() / 127
    rounded = torch.round(x / scale).clamp(-128, 127) * scale
    return x + (rounded - x).detach()


@stays("vector quantization, straight through", X, Y)
def _(z, codes):
    quantised = z + (codes - z).detach()
    return quantised, F.mse_loss(codes, z.detach()) + 0.25 * F.mse_loss(z, codes.detach())


# --- layers -----------------------------------------------------------------------------------------------------------
@stays("layer norm of the annotated transformer", X)
class LayerNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(6)), nn.Parameter(torch.zeros(6))

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        std = x.std(-1, keepdim=True)
        return self.a * (x - mean) / (std + 1e-6) + self.b


@stays("RMS norm of llama", X)
class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))

    def forward(self, x):
        x = x.float()
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


@stays("ConvNeXt's channels-first norm", n(2, 6, 3, 3))
def _(x):
    mean = x.mean(1, keepdim=True)
    var = (x - mean).pow(2).mean(1, keepdim=True)
    return (x - mean) / torch.sqrt(var + 1e-6)


@stays("global response norm", n(2, 3, 3, 6).abs())
def _(x):
    size = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
    return x * (size / (size.mean(dim=-1, keepdim=True) + 1e-6)) + x


@stays("causal attention", n(2, 5, 4), n(2, 5, 4), n(2, 5, 4))
def _(q, k, v):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    scores = scores.masked_fill(torch.ones(5, 5).tril() == 0, float("-inf"))
    return F.softmax(scores, dim=-1) @ v


@stays("attention with -1e9", n(2, 4, 6), SEEN[:, None].expand(4, 4, 6)[:2].clone())
def _(scores, seen):
    return torch.softmax(scores.masked_fill(seen == 0, -1e9), dim=-1)


@stays("additive mask of finfo.min", n(4, 6), SEEN)
def _(scores, seen):
    bias = (1.0 - seen.float()) * torch.finfo(torch.float32).min
    return F.softmax(scores + bias, dim=-1)


@stays("rotary embedding", n(2, 5, 4), n(5, 4), n(5, 4))
def _(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


@stays("GELU of tanh", X)
def _(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


@stays("GELU of erf", X)
def _(x):
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


@stays("SwiGLU", X, n(6, 8), n(6, 8), n(8, 6))
def _(x, a, b, c):
    return (F.silu(x @ a) * (x @ b)) @ c


@stays("mish", X)
def _(x):
    return x * torch.tanh(F.softplus(x))


@stays("GRU cell", n(4, 6), n(4, 6), n(6, 18), n(6, 18))
class GRUCell(nn.Module):
    def forward(self, x, h, w, v):
        xr, xz, xn = (x @ w).chunk(3, -1)
        hr, hz, hn = (h @ v).chunk(3, -1)
        r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        new = torch.tanh(xn + r * hn)
        return (1 - z) * new + z * h


@stays("highway layer", X, n(6, 6), n(6, 6))
def _(x, a, b):
    gate = torch.sigmoid(x @ a)
    return gate * F.relu(x @ b) + (1.0 - gate) * x


@stays("gated fusion, module", X, Y)
class Fusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(12, 6)

    def forward(self, a, b):
        g = self.gate(torch.cat([a, b], -1)).sigmoid()
        return a * g + b * (1 - g)


@stays("minimal gated unit", X, Y)
def _(x, h):
    f = torch.sigmoid(x + h)
    return h - f * h + f * torch.tanh(x)


@stays("squeeze and excitation", n(2, 6, 3, 3), n(6, 6))
def _(x, w):
    return x * torch.sigmoid(x.mean((2, 3)) @ w)[:, :, None, None]


@stays("capsule's squash", X)
def _(s):
    n2 = (s**2).sum(-1, keepdim=True)
    return n2 / (1 + n2) * s / torch.sqrt(n2 + 1e-8)


@stays("linear attention", n(2, 5, 4), n(2, 5, 4), n(2, 5, 4))
def _(q, k, v):
    q, k = F.elu(q) + 1, F.elu(k) + 1
    z = 1 / (torch.einsum("bnd,bd->bn", q, k.sum(1)) + 1e-6)
    return torch.einsum("bnd,bde,bn->bne", q, torch.einsum("bnd,bne->bde", k, v), z)


@stays("mixture of experts: top two", X)
def _(x):
    weights, _ = torch.topk(F.softmax(x, dim=-1), 2)
    return weights / weights.sum(-1, keepdim=True)


@stays("sinusoidal positions", torch.arange(12.0))
def _(position):
    frequency = torch.exp(torch.arange(0, 6, 2) * (-math.log(10000.0) / 6))
    return torch.cat([torch.sin(position[:, None] * frequency), torch.cos(position[:, None] * frequency)], -1)


# --- losses -----------------------------------------------------------------------------------------------------------
@stays("focal loss of torchvision", X, TRUTH)
def _(x, y):
    p = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    pt = p * y + (1 - p) * (1 - y)
    loss = ce * ((1 - pt) ** 2)
    return ((0.25 * y + 0.75 * (1 - y)) * loss).mean()


@stays("focal loss of cross-entropy", X, CLASSES)
def _(x, y):
    ce = F.cross_entropy(x, y, reduction="none")
    pt = torch.exp(-ce)
    return ((1 - pt) ** 2 * ce).mean()


@stays("dice loss", X, TRUTH)
def _(x, y):
    p = torch.sigmoid(x)
    return 1 - (2 * (p * y).sum(-1) + 1) / (p.sum(-1) + y.sum(-1) + 1)


@stays("tversky loss", X, TRUTH)
def _(x, y):
    p = x.sigmoid().flatten()
    y = y.flatten()
    tp, fp, fn = (p * y).sum(), ((1 - y) * p).sum(), (y * (1 - p)).sum()
    return 1 - (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)


@stays("VAE's KL", X, Y)
def _(mu, log_var):
    return torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1))


@stays("PPO", -u(8), -u(8), n(8))
def _(new, old, advantage):
    ratio = torch.exp(new - old)
    return -torch.min(ratio * advantage, torch.clamp(ratio, 0.8, 1.2) * advantage).mean()


@stays("importance weights, v-trace", -u(5, 3), -u(5, 3), n(5, 3))
def _(target, behaviour, advantage):
    rho = torch.exp(target - behaviour)
    return (torch.clamp(rho, max=1.0) * advantage).sum()


@stays("BYOL", X, Y)
def _(a, b):
    return (2 - 2 * (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(-1)).mean()


@stays("VICReg's variance", X)
def _(z):
    return torch.mean(F.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)))


@stays("charbonnier", X, Y)
def _(a, b):
    return torch.sqrt((a - b) ** 2 + 1e-6).mean()


@stays("CLIP", X, Y)
def _(image, text):
    image, text = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    logits = 14.3 * image @ text.t()
    y = torch.arange(4)
    return (F.cross_entropy(logits, y) + F.cross_entropy(logits.t(), y)) / 2


@stays("supervised contrastive", X, CLASSES % 2)
def _(features, labels):
    features = F.normalize(features, dim=1)
    logits = features @ features.T / 0.07
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    other = 1 - torch.eye(4)
    same = (labels[:, None] == labels[None]).float() * other
    log_p = logits - torch.log((torch.exp(logits) * other).sum(1, keepdim=True))
    return -((same * log_p).sum(1) / same.sum(1).clamp(min=1)).mean()


@stays("SAC's policy correction", X)
def _(u):
    return (2 * (math.log(2) - u - F.softplus(-2 * u))).sum(-1)


@stays("Barlow Twins", X, Y)
def _(a, b):
    a, b = (a - a.mean(0)) / a.std(0), (b - b.mean(0)) / b.std(0)
    c = a.T @ b / 4
    return (torch.diagonal(c) - 1).pow(2).sum() + 0.005 * (c - torch.diag(torch.diagonal(c))).pow(2).sum()


# --- optimizers, diffusion --------------------------------------------------------------------------------------------
@stays("Adam's update", n(6), n(6), n(6) * 0.1, u(6) * 0.01, 7.0)
def _(weight, grad, first, second, step):
    first = 0.9 * first + 0.1 * grad
    second = 0.999 * second + 0.001 * grad**2
    corrected = second / (1 - 0.999**step)
    return weight - 1e-3 * (first / (1 - 0.9**step)) / (corrected.sqrt() + 1e-8)


@stays("average of weights", n(6), n(6))
def _(average, weight):
    return 0.999 * average + (1 - 0.999) * weight


@stays("clipping by the global norm", n(6), n(4))
def _(a, b):
    total = torch.norm(torch.stack([a.norm(), b.norm()]))
    factor = torch.clamp(1.0 / (total + 1e-6), max=1.0)
    return a * factor, b * factor


@stays("diffusion: noised sample", X, Y, u(4, 1))
def _(x, noise, alpha_bar):
    return alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * noise


@stays("diffusion: DDIM step", X, Y, u(4, 1) * 0.5 + 0.2, u(4, 1) * 0.5 + 0.2)
def _(x, eps, now, before):
    x0 = (x - (1 - now).sqrt() * eps) / now.sqrt()
    return before.sqrt() * x0 + (1 - before).sqrt() * eps


@stays("EDM preconditioning", X, u(4, 1) + 0.1)
def _(x, sigma):
    skip = 0.25 / (sigma**2 + 0.25)
    return skip * x + sigma * 0.5 / (sigma**2 + 0.25).sqrt() * torch.tanh(x / (sigma**2 + 0.25).sqrt())


@stays("mixup", X, Y, u(4, 1))
def _(a, b, share):
    return share * a + (1 - share) * b


@stays("generalised advantages", n(5), n(6))
def _(reward, value):
    advantage, found = torch.zeros(()), []
    for t in reversed(range(5)):
        advantage = reward[t] + 0.99 * value[t + 1] - value[t] + 0.99 * 0.95 * advantage
        found.append(advantage)
    return torch.stack(found)


@stays("welford", X)
def _(x):
    mean, m2 = x[0], torch.zeros_like(x[0])
    for i in range(1, 4):
        delta = x[i] - mean
        mean = mean + delta / (i + 1)
        m2 = m2 + delta * (x[i] - mean)
    return mean, m2 / 3
