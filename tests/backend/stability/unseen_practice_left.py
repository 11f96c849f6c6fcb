"""What well-kept repositories write, and is to stay as it is: layers, normalisations, attention, losses, distributions.

By somebody who had not seen the rules: name: (function, inputs).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.collected import Left

ALONE = stays = Left(77)
n, u = stays.n, stays.u
BRAIN, HALF = torch.bfloat16, torch.float16

X, Y, Z = n(4, 6), n(4, 6), n(4, 6)
CLASSES = torch.tensor([1, 5, 0, 3])
TRUTH = (u(4, 6) > 0.5).float()


# --- layers, normalisations -------------------------------------------------------------------------------------------
@stays("practice: residual block of convolutions", n(2, 3, 5, 5))
class ResidualBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.GroupNorm(1, 3)

    def forward(self, x):
        return F.relu(x + self.conv2(F.relu(self.norm(self.conv1(x)))))


@stays("practice: T5's norm in bfloat16", X.to(BRAIN), (1 + 0.1 * n(6)).to(BRAIN))
def _(x, weight):
    variance = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
    return weight * (x * torch.rsqrt(variance + 1e-6)).to(x.dtype)


@stays("practice: Gemma's norm", X, 0.1 * n(6))
def _(x, weight):
    normed = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)
    return normed * (1.0 + weight.float())


@stays("practice: queries and keys normed", n(2, 4, 6), n(2, 4, 6))
def _(q, k):
    q = q * torch.rsqrt((q * q).mean(-1, keepdim=True) + 1e-6)
    k = k * torch.rsqrt((k * k).mean(-1, keepdim=True) + 1e-6)
    return torch.softmax(q @ k.transpose(1, 2) / math.sqrt(6), dim=-1)


@stays("practice: batch norm in training, by hand", n(8, 6), n(6) * 0.1, u(6) + 0.5)
def _(x, running_mean, running_var):
    mean, var = x.mean(0), x.var(0, unbiased=False)
    running_mean = 0.9 * running_mean + 0.1 * mean
    running_var = 0.9 * running_var + 0.1 * var
    return (x - mean) / torch.sqrt(var + 1e-5), running_mean, running_var


@stays("practice: positional network, first layer", X, n(6, 8), n(8))
def _(x, w, b):
    return torch.sin(30 * (x @ w + b))


@stays("practice: random Fourier features", X, n(6, 8))
def _(x, b):
    projected = 2 * math.pi * x @ b
    return torch.cat([torch.cos(projected), torch.sin(projected)], dim=-1)


@stays("practice: low-rank adapter", X, n(6, 6), n(6, 2), n(2, 6))
def _(x, w, a, b):
    return x @ w + (x @ a) @ b * (16 / 2)


@stays("practice: LSTM cell, four gates", n(4, 24), n(4, 6))
def _(gates, c):
    i, f, g, o = gates.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@stays("practice: GRU, other way round", X, Y, Z)
def _(z, new, h):
    z = torch.sigmoid(z)
    return new + z * (h - new)


@stays("practice: highway by residual", X, n(6, 6), n(6, 6))
class Highway(nn.Module):
    def forward(self, x, a, b):
        carry = 1 - torch.sigmoid(x @ a)
        return x * carry + torch.tanh(x @ b) * (1 - carry)


@stays("practice: xLSTM's stabilised gates", n(4), n(4), n(4), n(4))
def _(i, f, m, c):
    log_f = F.logsigmoid(f)
    top = torch.maximum(log_f + m, i)
    return torch.exp(log_f + m - top) * c + torch.exp(i - top), top


@stays("practice: gated delta rule, a step", n(2, 4, 4), n(2, 4), n(2, 4), n(2, 1))
def _(state, k, v, gate):
    k = F.normalize(k, dim=-1)
    beta = torch.sigmoid(gate)
    seen = torch.einsum("bij,bj->bi", state, k)
    return state + torch.einsum("bi,bj->bij", beta * (v - seen), k)


@stays("practice: hard swish", X)
def _(x):
    return x * F.relu6(x + 3) / 6


@stays("practice: quick GELU", X)
def _(x):
    return x * torch.sigmoid(1.702 * x)


@stays("practice: squared ReLU network", X, n(6, 12), n(12, 6))
def _(x, a, b):
    return F.relu(x @ a).square() @ b


@stays("practice: DropPath", X, torch.tensor([[1.0], [0.0], [1.0], [1.0]]))
def _(x, kept):
    return x + x.div(0.8) * kept


@stays("practice: NetVLAD", n(2, 5, 4), n(3, 4))
def _(x, centres):
    assigned = F.softmax(x @ centres.T, dim=-1)
    residual = x[:, :, None] - centres
    vlad = (assigned[..., None] * residual).sum(1)
    return F.normalize(F.normalize(vlad, dim=2).flatten(1), dim=1)


@stays("practice: noisy top-k router", X, Y)
def _(logits, spread):
    noisy = logits + 0.3 * F.softplus(spread)
    top, where = noisy.topk(2, dim=-1)
    return torch.zeros_like(noisy).scatter(-1, where, F.softmax(top, -1))


@stays("practice: linear attention with cumsum", n(2, 5, 4), n(2, 5, 4), n(2, 5, 4))
def _(q, k, v):
    q, k = F.relu(q) + 1e-3, F.relu(k) + 1e-3
    state = torch.einsum("bnd,bne->bnde", k, v).cumsum(1)
    below = torch.einsum("bnd,bnd->bn", q, k.cumsum(1))
    return torch.einsum("bnd,bnde->bne", q, state) / below[..., None]


# --- attention, RoPE --------------------------------------------------------------------------------------------------
@stays("practice: RoPE, interleaved", n(2, 5, 6), torch.arange(5.0))
def _(x, position):
    frequency = 1.0 / (10000 ** (torch.arange(0, 6, 2).float() / 6))
    angle = torch.outer(position, frequency).repeat_interleave(2, -1)
    turned = torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)
    return x * angle.cos() + turned * angle.sin()


@stays("practice: YaRN's ramp", 1.0 / 10000 ** (torch.arange(0, 8, 2).float() / 8))
def _(frequency):
    ramp = torch.clamp((torch.arange(4.0) - 1.0) / (3.0 - 1.0), 0, 1)
    keep = 1 - ramp
    return frequency / 8.0 * (1 - keep) + frequency * keep


@stays("practice: position buckets of T5", torch.arange(1.0, 60.0, 7.0))
def _(distance):
    large = 16 + (torch.log(distance / 16) / math.log(128 / 16) * 16).floor()
    return torch.where(distance < 16, distance, large.clamp(max=31))


@stays("practice: sliding window attention", n(2, 5, 4), n(2, 5, 4), n(2, 5, 4))
class Window(nn.Module):
    def forward(self, q, k, v):
        scores = torch.einsum("bqd,bkd->bqk", q, k) * 4**-0.5
        i = torch.arange(5)
        near = (i[:, None] - i[None]).abs() <= 1
        return scores.masked_fill(~near, float("-inf")).softmax(-1) @ v


@stays(
    "practice: attention in float16, softmax in float", n(2, 5, 4).to(HALF), n(2, 5, 4).to(HALF), n(2, 5, 4).to(HALF)
)
def _(q, k, v):
    weights = F.softmax((q @ k.transpose(-1, -2)) * 0.5, dim=-1, dtype=torch.float32).to(q.dtype)
    return weights @ v


@stays("practice: tanh-capped scores", n(2, 5, 5))
def _(scores):
    return F.softmax(50.0 * torch.tanh(scores / 50.0), -1)


@stays("practice: attention pooling", n(2, 5, 4), n(4))
def _(x, w):
    weights = torch.softmax(torch.tanh(x) @ w, dim=1)
    return (weights.unsqueeze(-1) * x).sum(1)


@stays("practice: parts of flash attention merged", n(4, 3), n(4, 3), n(4), n(4))
def _(a, b, lse_a, lse_b):
    lse = torch.logaddexp(lse_a, lse_b)
    return torch.exp(lse_a - lse)[:, None] * a + torch.exp(lse_b - lse)[:, None] * b, lse


@stays("practice: differential attention", n(2, 5, 5), n(2, 5, 5), n(4), n(4))
def _(s1, s2, a, b):
    share = torch.exp((0.1 * a * b).sum()) - torch.exp((0.1 * a.flip(0) * b).sum()) + 0.8
    return s1.softmax(-1) - share * s2.softmax(-1)


# --- losses -----------------------------------------------------------------------------------------------------------
@stays("practice: ArcFace", F.normalize(n(4, 6), dim=1), F.normalize(n(3, 6), dim=1), torch.tensor([0, 2, 1, 1]))
def _(x, w, y):
    cosine = F.linear(x, w)
    sine = torch.sqrt(1.0 - torch.pow(cosine, 2))
    phi = cosine * math.cos(0.5) - sine * math.sin(0.5)
    hot = F.one_hot(y, 3).float()
    return F.cross_entropy(30 * (hot * phi + (1.0 - hot) * cosine), y)


@stays("practice: CosFace", X, n(3, 6), torch.tensor([0, 2, 1, 1]))
def _(x, w, y):
    cosine = F.normalize(x) @ F.normalize(w).T
    return F.cross_entropy(30.0 * (cosine - 0.35 * F.one_hot(y, 3)), y)


@stays(
    "practice: distance and shape of boxes",
    torch.cat([u(4, 2), 1.5 + u(4, 2)], 1),
    torch.cat([u(4, 2), 1.5 + u(4, 2)], 1),
)
def _(a, b):
    (ax, ay, aX, aY), (bx, by, bX, bY) = a.unbind(-1), b.unbind(-1)
    wide, high = torch.minimum(aX, bX) - torch.maximum(ax, bx), torch.minimum(aY, bY) - torch.maximum(ay, by)
    inter = wide.clamp(0) * high.clamp(0)
    iou = inter / ((aX - ax) * (aY - ay) + (bX - bx) * (bY - by) - inter + 1e-7)
    cw, ch = torch.maximum(aX, bX) - torch.minimum(ax, bx), torch.maximum(aY, bY) - torch.minimum(ay, by)
    rho = ((bx + bX - ax - aX) ** 2 + (by + bY - ay - aY) ** 2) / 4
    v = 4 / math.pi**2 * (torch.atan((bX - bx) / (bY - by)) - torch.atan((aX - ax) / (aY - ay))) ** 2
    alpha = v / (v - iou + (1 + 1e-7))
    return 1 - (iou - (rho / (cw**2 + ch**2 + 1e-7) + v * alpha.detach()))


@stays("practice: hinge GAN", X, Y)
def _(real, fake):
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


@stays("practice: gradient penalty", X)
def _(gradient):
    return 10 * ((gradient.norm(2, dim=1) - 1) ** 2).mean()


@stays("practice: GAN without saturation", X, Y)
def _(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean()


@stays("practice: DINO", X, Y, 0.1 * n(6))
def _(student, teacher, centre):
    target = F.softmax((teacher - centre) / 0.04, dim=-1).detach()
    return torch.sum(-target * F.log_softmax(student / 0.1, dim=-1), dim=-1).mean()


@stays("practice: SwAV's assignment", X, n(3, 6))
def _(x, prototypes):
    q = torch.exp(F.normalize(x, dim=1) @ F.normalize(prototypes, dim=1).T / 0.05).T
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(dim=1, keepdim=True) / 3
        q = q / q.sum(dim=0, keepdim=True) / 4
    return (q * 4).T


@stays("practice: weights of tasks", n(3).abs(), n(3) * 0.3)
def _(losses, log_variance):
    return (torch.exp(-log_variance) * losses + log_variance).sum()


@stays("practice: quantile Huber", n(4, 5), n(4, 5), u(4, 5))
def _(found, target, tau):
    delta = target - found
    huber = torch.where(delta.abs() <= 1, 0.5 * delta.pow(2), delta.abs() - 0.5)
    return ((tau - (delta.detach() < 0).float()).abs() * huber).sum(1).mean()


@stays("practice: expectile", n(8), n(8))
def _(q, v):
    d = q - v
    return (torch.where(d > 0, 0.7, 0.3) * d**2).mean()


@stays("practice: advantage-weighted regression", n(8), n(8))
def _(advantage, log_prob):
    weight = torch.exp(advantage / 3.0).clamp(max=100.0)
    return -(weight.detach() * log_prob).mean()


@stays("practice: PPO with a KL bonus", -u(8), -u(8), n(8), -u(8))
def _(new, old, advantage, reference):
    ratio = (new - old).exp()
    surrogate = torch.minimum(ratio * advantage, ratio.clip(0.8, 1.2) * advantage)
    return -(surrogate - 0.01 * (new - reference)).mean()


@stays("practice: sequence-level ratio", -u(4, 6), -u(4, 6), n(4), TRUTH)
def _(new, old, advantage, mask):
    log_ratio = ((new - old) * mask).sum(-1) / mask.sum(-1).clamp(min=1)
    ratio = torch.exp(log_ratio)
    return -torch.min(ratio * advantage, torch.clamp(ratio, 1 - 3e-4, 1 + 4e-4) * advantage).mean()


@stays("practice: focal loss by exp of the cross-entropy, weighted", X, CLASSES, u(6) + 0.5)
class Focal(nn.Module):
    def __init__(self):
        super().__init__()
        self.gamma = 2.0

    def forward(self, x, y, weight):
        log_pt = -F.cross_entropy(x, y, weight=weight.detach(), reduction="none")
        pt = torch.exp(log_pt)
        return (-((1 - pt) ** self.gamma) * log_pt).mean()


@stays("practice: focal loss of CornerNet's heat map", X, u(4, 6))
def _(x, heat):
    p = torch.clamp(torch.sigmoid(x), min=1e-4, max=1 - 1e-4)
    positive = torch.log(p) * torch.pow(1 - p, 2)
    negative = torch.log(1 - p) * torch.pow(p, 2) * torch.pow(1 - heat, 4)
    return -(positive + negative).mean()


@stays("practice: soft Dice, squared", X, TRUTH)
def _(x, y):
    p = torch.softmax(x, 1)
    over = (p * y).sum(0)
    return 1 - ((2 * over + 1e-5) / (p.pow(2).sum(0) + y.pow(2).sum(0) + 1e-5)).mean()


@stays("practice: KL control, k1", -u(8), -u(8))
def _(log_p, log_ref):
    return 0.05 * (log_p - log_ref).mean()


# --- distributions, spellings that are stable already -----------------------------------------------------------------
@stays("practice: logistic log-density", X, Y)
def _(x, scale):
    z = x / F.softplus(scale)
    return -z - 2 * F.softplus(-z) - torch.log(F.softplus(scale))


@stays("practice: Cauchy's log-density", X, u(4, 6) + 0.5)
def _(x, scale):
    return -math.log(math.pi) - scale.log() - (x / scale).square().log1p()


@stays("practice: Student's log-density", X, u(4, 6) + 2)
def _(x, df):
    norm = torch.lgamma(0.5 * (df + 1)) - torch.lgamma(0.5 * df) - 0.5 * torch.log(df * math.pi)
    return norm - 0.5 * (df + 1) * torch.log1p(x * x / df)


@stays("practice: Poisson NLL of a log rate", X, torch.poisson(u(4, 6) * 4, generator=stays.generator))
def _(log_rate, count):
    return (torch.exp(log_rate) - count * log_rate).mean()


@stays("practice: Weibull draw", u(8) * 0.9)
def _(v):
    return 1.5 * (-torch.log1p(-v)) ** (1 / 0.7)


@stays("practice: normal draw by its quantile", u(8) * 0.9 + 0.05)
def _(v):
    return 0.3 + 2.0 * torch.erfinv(2 * v - 1) * math.sqrt(2)


@stays("practice: Gumbel noise", u(4, 6) * 0.98 + 0.01, X)
def _(v, logits):
    noise = -torch.log(-torch.log(v))
    return F.softmax((logits + noise) / 0.5, dim=-1)


@stays("practice: beta log-density", u(8) * 0.8 + 0.1, u(8) + 1, u(8) + 1)
def _(x, a, b):
    log_beta = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    return (a - 1) * torch.log(x) + (b - 1) * torch.log1p(-x) - log_beta


@stays("practice: inverse softplus of TFP", u(8) * 4 + 0.01)
def _(y):
    return y + torch.log(-torch.expm1(-y))


@stays("practice: tanh by expm1", X)
def _(x):
    e = torch.expm1(-2 * x.abs())
    return -torch.sign(x) * e / (e + 2)


@stays("practice: logit by log1p", u(8) * 0.9 + 0.05)
def _(p):
    return torch.log(p) - torch.log1p(-p)


@stays("practice: entropy by entr", X)
def _(x):
    return torch.special.entr(x.softmax(-1)).sum(-1)


@stays("practice: KL by xlogy", torch.softmax(X, -1), torch.softmax(Y, -1))
def _(p, q):
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


@stays("practice: norm by its largest", X)
def _(x):
    top = x.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    return (top * torch.linalg.vector_norm(x / top, dim=-1, keepdim=True)).squeeze(-1)


@stays("practice: log-mean-exp less the maximum", X)
def _(x):
    top = x.max(0, keepdim=True).values
    return (top + (x - top).exp().mean(0, keepdim=True).log()).squeeze(0)


@stays("practice: masked mean, no rows left", X, TRUTH)
def _(x, mask):
    return (x * mask).sum(-1) / mask.sum(-1).clamp(min=1)


@stays("practice: quotient by two wheres", X, torch.tensor([[0.0, 1.0, 2.0, 0.0, -1.0, 3.0]]).repeat(4, 1))
def _(a, b):
    zero = b == 0
    return torch.where(zero, torch.zeros_like(a), a / torch.where(zero, torch.ones_like(b), b))
