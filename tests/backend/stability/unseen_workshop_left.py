"""More that is to stay as it is written, by the hand of ``unseen_trades_left``; the rules were mended by all of it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.stability.collected import Left

ALONE = stays = Left(171)
n, u = stays.n, stays.u

X, Y, Z = n(4, 6), n(4, 6), n(4, 6)
TRUTH = (u(4, 6) > 0.5).float()
BOXES = torch.cat((u(5, 2), u(5, 2) + 1.1), 1)
BOXES_TOO = torch.cat((u(5, 2) + 0.1, u(5, 2) + 1.3), 1)


# --- losses -----------------------------------------------------------------------------------------------------------
@stays("workshop: CIoU", BOXES, BOXES_TOO)
def _(a, b):
    wa, ha = a[:, 2] - a[:, 0], a[:, 3] - a[:, 1]
    wb, hb = b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]
    inter = (torch.min(a[:, 2], b[:, 2]) - torch.max(a[:, 0], b[:, 0])).clamp(0) * (
        torch.min(a[:, 3], b[:, 3]) - torch.max(a[:, 1], b[:, 1])
    ).clamp(0)
    iou = inter / (wa * ha + wb * hb - inter + 1e-7)
    cw = torch.max(a[:, 2], b[:, 2]) - torch.min(a[:, 0], b[:, 0])
    ch = torch.max(a[:, 3], b[:, 3]) - torch.min(a[:, 1], b[:, 1])
    rho = ((a[:, 0] + a[:, 2] - b[:, 0] - b[:, 2]) ** 2 + (a[:, 1] + a[:, 3] - b[:, 1] - b[:, 3]) ** 2) / 4
    v = 4 / math.pi**2 * (torch.atan(wb / (hb + 1e-7)) - torch.atan(wa / (ha + 1e-7))) ** 2
    with torch.no_grad():
        alpha = v / (v - iou + (1 + 1e-7))
    return 1 - (iou - (rho / (cw**2 + ch**2 + 1e-7) + v * alpha)).mean()


@stays("workshop: quality focal loss", X, u(4, 6))
def _(x, score):
    scale = (torch.sigmoid(x) - score).abs().pow(2.0)
    return (F.binary_cross_entropy_with_logits(x, score, reduction="none") * scale).sum()


@stays("workshop: distribution focal loss", n(4, 17), u(4) * 15)
def _(x, y):
    left = y.long()
    wl = left + 1 - y
    wr = y - left
    a = F.cross_entropy(x, left, reduction="none") * wl
    return (a + F.cross_entropy(x, left + 1, reduction="none") * wr).mean()


@stays("workshop: varifocal", X, u(4, 6) * TRUTH)
def _(x, q):
    p = x.sigmoid()
    weight = torch.where(q > 0, q, 0.75 * p.pow(2.0))
    return (F.binary_cross_entropy_with_logits(x, q, reduction="none") * weight.detach()).sum()


@stays("workshop: generalised cross-entropy", X, torch.tensor([1, 5, 0, 3]))
def _(x, y):
    p = torch.softmax(x, -1).gather(1, y[:, None]).squeeze(1).clamp(min=1e-7, max=1.0)
    return ((1.0 - p**0.7) / 0.7).mean()


@stays("workshop: symmetric cross-entropy", X, torch.tensor([1, 5, 0, 3]))
def _(x, y):
    p = torch.softmax(x, -1).clamp(1e-7, 1.0)
    hot = F.one_hot(y, 6).float().clamp(1e-4, 1.0)
    return 0.1 * F.cross_entropy(x, y) - (p * torch.log(hot)).sum(-1).mean()


@stays("workshop: RankNet", n(6), torch.tensor([3.0, 1.0, 2.0, 0.0, 1.0, 2.0]))
def _(s, y):
    d = s[:, None] - s[None]
    better = (y[:, None] > y[None]).float()
    return (F.softplus(-d) * better).sum() / better.sum().clamp(min=1)


@stays("workshop: ListNet", X, Y)
def _(x, y):
    return -(torch.softmax(y, -1) * F.log_softmax(x, -1)).sum(-1).mean()


@stays("workshop: approximate NDCG", n(6), torch.tensor([3.0, 1.0, 2.0, 0.0, 1.0, 2.0]))
def _(s, y):
    rank = 0.5 + torch.sigmoid((s[None] - s[:, None]) / 0.1).sum(1)
    dcg = ((2.0**y - 1) / torch.log2(1 + rank)).sum()
    best = ((2.0 ** y.sort(descending=True).values - 1) / torch.log2(torch.arange(2.0, 8.0))).sum()
    return 1 - dcg / best


@stays("workshop: Wasserstein critic", n(6), n(6))
def _(real, fake):
    return fake.mean() - real.mean(), -fake.mean()


@stays("workshop: relativistic average", n(6), n(6))
def _(real, fake):
    one = F.softplus(-(real - fake.mean())).mean()
    return (one + F.softplus(fake - real.mean()).mean()) / 2


@stays("workshop: VICReg's covariance", n(8, 5))
def _(z):
    z = z - z.mean(0)
    cov = z.T @ z / 7
    off = cov - torch.diag(torch.diagonal(cov))
    return off.pow(2).sum() / 5


@stays("workshop: uniformity", n(6, 4))
def _(z):
    z = F.normalize(z, dim=1)
    return torch.pdist(z).pow(2).mul(-2).exp().mean().log()


@stays("workshop: alignment", n(6, 4), n(6, 4))
def _(a, b):
    return (F.normalize(a, dim=1) - F.normalize(b, dim=1)).norm(dim=1).pow(2).mean()


@stays("workshop: log-magnitude of spectra", u(4, 9), u(4, 9))
def _(a, b):
    a, b = a.clamp(min=1e-7), b.clamp(min=1e-7)
    return (a - b).norm() / b.norm(), (a.log() - b.log()).abs().mean()


@stays("workshop: SI-SDR with eps", n(16), n(16))
def _(x, s):
    x, s = x - x.mean(), s - s.mean()
    target = (x * s).sum() / ((s * s).sum() + 1e-8) * s
    noise = x - target
    return -10 * torch.log10((target * target).sum() / ((noise * noise).sum() + 1e-8) + 1e-8)


@stays("workshop: scale-invariant depth", u(4, 6) + 0.5, u(4, 6) + 0.5)
def _(x, y):
    d = torch.log(x) - torch.log(y)
    return torch.sqrt((d * d).mean() - 0.85 * d.mean() ** 2) * 10


@stays("workshop: smooth L1 of bounding boxes", X, Y)
def _(x, y):
    d = (x - y).abs()
    return torch.where(d < 1 / 9, 0.5 * d * d * 9, d - 0.5 / 9).sum()


@stays("workshop: Cauchy's robust loss", X, Y)
def _(x, y):
    return torch.log1p(((x - y) / 2.0) ** 2).sum()


@stays("workshop: MAPE", X, u(4, 6) + 0.5)
def _(x, y):
    return ((x - y).abs() / y.abs().clamp(min=1e-6)).mean() * 100


@stays("workshop: sMAPE", X, Y)
def _(x, y):
    return (2 * (x - y).abs() / (x.abs() + y.abs() + 1e-8)).mean()


@stays("workshop: explained variance", n(9), n(9))
def _(x, y):
    return 1 - (y - x).var() / (y.var() + 1e-8)


@stays("workshop: Nash and Sutcliffe", n(9), n(9))
def _(x, y):
    return 1 - ((x - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()


@stays("workshop: PSNR", u(3, 4, 4), u(3, 4, 4))
def _(x, y):
    return 10 * torch.log10(1.0 / F.mse_loss(x, y).clamp(min=1e-10))


@stays("workshop: perplexity of a batch", n(8, 5), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]))
def _(x, y):
    return torch.exp(F.cross_entropy(x, y))


@stays("workshop: z-loss of a router", n(5, 4))
def _(x):
    return (torch.logsumexp(x, -1) ** 2).mean() * 1e-3


@stays("workshop: ELBO of a gaussian decoder", X, Y, n(4, 3), n(4, 3) * 0.5)
def _(x, mean, mu, logvar):
    recon = F.mse_loss(mean, x, reduction="sum") / 4
    return recon + 0.5 * (mu.pow(2) + logvar.exp() - logvar - 1).sum(1).mean().clamp(min=0.5)


@stays("workshop: KL of two gaussians, standard deviations", n(4, 3), u(4, 3) + 0.2, n(4, 3), u(4, 3) + 0.2)
def _(m1, s1, m2, s2):
    return (torch.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5).sum(-1)


@stays("workshop: free bits", n(4, 3), n(4, 3) * 0.3)
def _(mu, logvar):
    kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())
    return kl.mean(0).clamp(min=0.25).sum()


# --- layers, attention ------------------------------------------------------------------------------------------------
@stays("workshop: attention over windows with a bias", n(2, 6, 4), n(2, 6, 4), n(2, 6, 4), n(6, 6))
def _(q, k, v, bias):
    s = (q * 4**-0.5) @ k.transpose(-2, -1) + bias
    s = s - s.amax(-1, keepdim=True).detach()
    e = s.exp()
    return (e / e.sum(-1, keepdim=True)) @ v


@stays("workshop: softmax and one", n(3, 6))
def _(x):
    top = x.amax(-1, keepdim=True).clamp(min=0)
    e = torch.exp(x - top)
    return e / (torch.exp(-top) + e.sum(-1, keepdim=True))


@stays("workshop: soft capped scores", n(2, 5, 5))
def _(s):
    return torch.softmax(30.0 * torch.tanh(s / 30.0), -1)


@stays("workshop: cosine attention", n(2, 5, 4), n(2, 5, 4), n(1))
def _(q, k, scale):
    s = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
    return torch.softmax(s * scale.clamp(max=math.log(100.0)).exp(), -1)


@stays("workshop: retention's decay", n(5, 4), n(5, 4), n(5, 4))
def _(q, k, v):
    t = torch.arange(5.0)
    d = torch.tril(0.9 ** (t[:, None] - t[None]).clamp(min=0))
    return (q @ k.T * d) @ v


@stays("workshop: LSTM with exponential gates", n(4, 6), n(4, 6), n(4, 6), n(4, 6), n(4, 6), n(4, 6))
def _(i, f, z, o, c, m):
    logf = F.logsigmoid(f)
    new = torch.maximum(logf + m, i)
    i, f = torch.exp(i - new), torch.exp(logf + m - new)
    c = f * c + i * torch.tanh(z)
    return torch.sigmoid(o) * c, new


@stays("workshop: zoneout", X, Y, TRUTH)
def _(h, new, keep):
    return keep * h + (1 - keep) * new


@stays("workshop: squeeze and excite", n(2, 4, 3, 3), n(4, 2), n(2, 4))
def _(x, a, b):
    s = torch.sigmoid(F.relu(x.mean((2, 3)) @ a) @ b)
    return x * s[:, :, None, None]


@stays("workshop: generalised mean pooling", n(2, 3, 4, 4), 3.0)
def _(x, p):
    return x.clamp(min=1e-6).pow(p).mean((2, 3)).pow(1.0 / p)


@stays("workshop: GRN of ConvNeXt", n(2, 4, 4, 3))
def _(x):
    g = x.norm(p=2, dim=(1, 2), keepdim=True)
    return x * (g / (g.mean(-1, keepdim=True) + 1e-6)) + x


@stays("workshop: LayerNorm in module, biased", X, u(6), u(6))
class Norm(nn.Module):
    def forward(self, x, weight, bias):
        mean = x.mean(-1, keepdim=True)
        var = (x - mean).pow(2).mean(-1, keepdim=True)
        return weight * ((x - mean) / torch.sqrt(var + 1e-12)) + bias


@stays("workshop: deep norm", X, Y)
def _(x, y):
    return F.layer_norm(x * (2 * 12) ** 0.25 + y, (6,))


@stays("workshop: GEGLU", n(4, 12))
def _(x):
    a, b = x.chunk(2, -1)
    return a * 0.5 * b * (1.0 + torch.erf(b / math.sqrt(2.0)))


@stays("workshop: squared ReLU", X)
def _(x):
    return F.relu(x).square()


@stays("workshop: lisht", X)
def _(x):
    return x * torch.tanh(x)


@stays("workshop: serf", X)
def _(x):
    return x * torch.erf(F.softplus(x))


@stays("workshop: smooth ReLU of Meta", X)
def _(x):
    return torch.where(x.abs() <= 0.5, (x + 0.5) ** 2 / 2.0, F.relu(x))


@stays("workshop: aconC", X, u(6), u(6), u(6) + 0.5)
def _(x, p1, p2, beta):
    d = (p1 - p2) * x
    return d * torch.sigmoid(beta * d) + p2 * x


@stays("workshop: bent identity, shrink, sign", X)
def _(x):
    return x / (1 + x.abs()), torch.sign(x) * F.relu(x.abs() - 0.5)


@stays("workshop: maxout with temperature", X)
def _(x):
    return (torch.softmax(x / 0.5, -1) * x).sum(-1)


@stays("workshop: FiLM", X, Y, Z)
def _(x, scale, shift):
    return x * (1 + scale) + shift


@stays("workshop: timestep embedding", torch.tensor([0.0, 10.0, 500.0, 999.0]))
def _(t):
    freqs = torch.exp(-math.log(10000.0) * torch.arange(4.0) / 4)
    angle = t[:, None] * freqs[None]
    return torch.cat((torch.cos(angle), torch.sin(angle)), -1)


@stays("workshop: rotary of two lists", n(2, 5, 6), u(5, 3) * 5)
def _(x, angle):
    a, b = x[..., :3], x[..., 3:]
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)
