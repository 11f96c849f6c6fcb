"""Programs in other styles than the first: with one bug each, and correct ones."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.backend.ranges.programs import Corpus

BROKEN, RIGHT = Corpus(), Corpus()
ENCODER = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16))
HEAD = nn.Linear(16, 10)


@BROKEN()
def classifier_loss(x, labels):
    logits = HEAD(ENCODER(x))
    probabilities = torch.softmax(logits, dim=-1)
    log_p = torch.log(probabilities)  # bug: domain
    return F.nll_loss(log_p, labels)


@BROKEN()
def discriminator_loss(x, y):
    real = torch.sigmoid(HEAD(x))
    fake = torch.sigmoid(HEAD(y))
    return -(torch.log(real).mean() + torch.log(1 - fake).mean())  # bug: domain


@BROKEN()
def attention_by_hand(query, key, value):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key)
    weights = torch.exp(scores)  # bug: overflow
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return torch.einsum("bhqk,bhkd->bhqd", weights, value)


@BROKEN()
def instance_norm_by_hand(image):
    mean = image.mean(dim=(2, 3), keepdim=True)
    std = image.std(dim=(2, 3), keepdim=True)
    return (image - mean) / std  # bug: division by zero


@BROKEN()
def batch_norm_of_hidden(x):
    h = ENCODER(x)
    var = h.var(dim=0, unbiased=False)
    return (h - h.mean(dim=0)) / var.sqrt()  # bug: division by zero


@BROKEN()
def correlation(x, y):
    x, y = x - x.mean(), y - y.mean()
    return (x * y).sum() / torch.sqrt((x**2).sum() * (y**2).sum())  # bug: division by zero


@BROKEN()
def f1_score(logits, mask):
    p = logits > 0
    tp = (p & mask).sum().float()
    return tp / p.sum().float()  # bug: division by zero


@BROKEN()
def harmonic_mean(x):
    return x.shape[-1] / (1 / torch.relu(x)).sum(-1)  # bug: division by zero


@BROKEN()
def iou(logits, target):
    a = torch.sigmoid(logits) > 0.5
    b = target > 0.5
    return (a & b).sum() / (a | b).sum()  # bug: division by zero


@BROKEN()
def masked_softmax_by_product(x, mask):
    p = F.softmax(x, dim=-1) * mask
    return p / p.sum(dim=-1, keepdim=True)  # bug: division by zero


@BROKEN()
def gumbel_noise(x):
    u = torch.rand_like(x)
    g = -torch.log(-torch.log(u))  # bug: domain
    return (x + g).softmax(-1)


@BROKEN()
def box_muller(x):
    u, v = torch.rand_like(x), torch.rand_like(x)
    return torch.sqrt(-2 * torch.log(u)) * torch.cos(2 * math.pi * v)  # bug: domain


@BROKEN()
def mixture_likelihood(mu, x):
    density = torch.exp(-((x - mu) ** 2) / 2).mean(-1)
    return torch.log(density).sum()  # bug: domain


@BROKEN()
def spherical_angle(points):
    unit = F.normalize(points, dim=1)
    cosine = unit @ unit.t()
    return torch.arccos(cosine)  # bug: domain


@BROKEN()
def inverse_temperature(x):
    scores = F.normalize(x, dim=-1) @ F.normalize(x, dim=-1).T
    return torch.exp(scores / 0.01).sum(dim=1)  # bug: overflow


@BROKEN()
def boltzmann(x):
    energy = x**2
    return torch.exp(energy / 0.01)  # bug: overflow


@BROKEN()
def half_logits(half):
    scaled = torch.tanh(half) * 30
    return torch.exp(scaled)  # bug: overflow


@BROKEN()
def half_variance(half_image):
    total = torch.sum(half_image * half_image)  # bug: overflow
    return total / half_image.numel()


@BROKEN(half=(-300.0, 300.0))
def half_square(half):
    return torch.square(half)  # bug: overflow


@BROKEN(double=(0.0, 1000.0))
def exp_in_double(double):
    return double.exp()  # bug: overflow


@BROKEN(x=(0.0, 255.0))
def polynomial(x):
    return x**20  # bug: overflow


@BROKEN()
def growth(x):
    rate = 1.5 ** torch.arange(0.0, 400.0)  # bug: overflow
    return x.sum() * rate


@BROKEN()
def tiny_learning_rate(half):
    return half - half * 1e-10  # bug: underflow


@BROKEN(probability=(0.0, 1.0))
def sequence_probability(probability):
    many = probability.repeat(1, 64)
    return many.prod(dim=-1)  # bug: underflow


@BROKEN()
def squashed_log_prob(x):
    u = torch.tanh(HEAD(x))
    return -torch.log(1 - u * u).sum(-1)  # bug: domain


@BROKEN()
def inverse_sigmoid(x):
    p = torch.sigmoid(x)
    return torch.log(p / (1 - p))  # bug: division by zero


@BROKEN()
def binary_entropy(x):
    p = torch.sigmoid(x)
    a = p * torch.log2(p)  # bug: domain
    b = (1 - p) * torch.log2(1 - p)  # bug: domain
    return -(a + b)


@BROKEN()
def log_abs_difference(x):
    d = x[:, :-1] - x[:, 1:]
    return torch.log(d.abs())  # bug: domain


@BROKEN()
def variance_of_image(image):
    m = image.mean(dim=(2, 3))
    m2 = (image * image).mean(dim=(2, 3))
    return torch.sqrt(m2 - m * m)  # bug: cancellation


@BROKEN()
def elu_by_hand(x):
    negative = torch.exp(x) - 1  # bug: cancellation
    return torch.where(x > 0, x, negative)


@BROKEN()
def prefix_in_brain(brain_long):
    return torch.cumsum(brain_long, dim=0)  # bug: low-precision accumulation


@BROKEN()
def euclidean_by_expansion(x, y):
    a = (x * x).sum(-1, keepdim=True)
    b = (y * y).sum(-1, keepdim=True)
    return (a - 2 * torch.mm(x, y.t()) + b.t()).sqrt()  # bug: domain


@BROKEN()
def sqrt_of_head(x):
    return HEAD(x) ** 0.5  # bug: domain


@BROKEN()
def divided_by_count(labels):
    counts = torch.zeros(10).scatter_add(0, labels, torch.ones(8))
    return 1.0 / counts  # bug: division by zero


@BROKEN()
def std_over_batch_of_one(scalar, x):
    z = (x - x.mean()) / x.var()  # bug: division by zero
    return z * scalar


@RIGHT()
def classifier_loss_in_logs(x, labels):
    return F.nll_loss(F.log_softmax(HEAD(ENCODER(x)), dim=-1), labels)


@RIGHT()
def discriminator_loss_with_epsilon(x, y):
    real, fake = torch.sigmoid(HEAD(x)), torch.sigmoid(HEAD(y))
    return -(torch.log(real + 1e-8).mean() + torch.log(1 - fake + 1e-8).mean())


@RIGHT()
def attention_right(query, key, value):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / 8**0.5
    return torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), value)


@RIGHT()
def instance_norm_right(image):
    mean = image.mean(dim=(2, 3), keepdim=True)
    std = image.std(dim=(2, 3), keepdim=True)
    return (image - mean) / (std + 1e-5)


@RIGHT()
def correlation_right(x, y):
    x, y = x - x.mean(), y - y.mean()
    return (x * y).sum() / (torch.sqrt((x**2).sum() * (y**2).sum()) + 1e-8)


@RIGHT()
def iou_smooth(logits, target):
    a, b = torch.sigmoid(logits) > 0.5, target > 0.5
    return ((a & b).sum() + 1) / ((a | b).sum() + 1)


@RIGHT()
def masked_softmax_right(x, mask):
    return F.softmax(x.masked_fill(~mask, torch.finfo(x.dtype).min), dim=-1)


@RIGHT()
def gumbel_right(x):
    u = torch.rand_like(x)
    return (x - torch.log(-torch.log(u + 1e-10) + 1e-10)).softmax(-1)


@RIGHT()
def mixture_right(mu, x):
    return torch.logsumexp(-((x - mu) ** 2) / 2, dim=-1).sum()


@RIGHT()
def boltzmann_right(x):
    return torch.exp(-(x**2) / 0.01)


@RIGHT()
def squashed_right(x):
    u = torch.tanh(HEAD(x))
    return -torch.log(1 - u * u + 1e-6).sum(-1)


@RIGHT()
def u_net_block(image):
    h = F.silu(F.group_norm(image, 3))
    return F.interpolate(F.avg_pool2d(h, 2), scale_factor=2) + image


@RIGHT()
def min_snr_weight(labels):
    alphas = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 100), 0)
    snr = alphas[labels] / (1 - alphas[labels])
    return torch.clamp(snr, max=5.0) / snr


@RIGHT()
def advantage(x):
    return (x - x.mean()) / (x.std() + 1e-8)


@RIGHT()
def sac_temperature(scalar, x):
    return -(scalar.exp() * (x.detach() - 3.0)).mean()


@RIGHT()
def triplet(x, y, z):
    return F.triplet_margin_loss(x, y, z) + F.relu((x - y).pow(2).sum(1) - (x - z).pow(2).sum(1) + 1).mean()


@RIGHT()
def supervised_contrastive(x, labels):
    f = F.normalize(x, dim=1)
    logits = f @ f.T / 0.1
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    others = 1 - torch.eye(8)
    positive = (labels[:, None] == labels[None]).float() * others
    log_p = logits - torch.log((torch.exp(logits) * others).sum(1, keepdim=True) + 1e-12)
    return -((positive * log_p).sum(1) / positive.sum(1).clamp(min=1)).mean()


@RIGHT()
def barlow_twins(x, y):
    a = (x - x.mean(0)) / (x.std(0) + 1e-6)
    b = (y - y.mean(0)) / (y.std(0) + 1e-6)
    c = a.T @ b / 8
    return (c.diagonal() - 1).pow(2).sum() + 0.005 * (c - torch.diag_embed(c.diagonal())).pow(2).sum()


@RIGHT()
def vicreg(x):
    std = torch.sqrt(x.var(dim=0) + 1e-4)
    return F.relu(1 - std).mean()


@RIGHT()
def alibi(query, key):
    slopes = torch.tensor([2.0 ** (-8 * i / 4) for i in range(1, 5)])
    distance = torch.arange(16)[None] - torch.arange(16)[:, None]
    scores = query @ key.transpose(-2, -1) / math.sqrt(8) + slopes[:, None, None] * distance
    return scores.softmax(-1)


@RIGHT()
def lr_schedule(scalar):
    return 0.5 * (1 + torch.cos(math.pi * scalar))


@RIGHT()
def weight_norm_by_hand(x):
    w = HEAD.weight
    return x @ (w / w.norm(dim=1, keepdim=True)).T


@RIGHT()
def label_smoothing_kl(logits, labels):
    target = torch.full((8, 16), 0.1 / 15).scatter(1, labels[:, None], 0.9)
    return (target * (target.log() - logits.log_softmax(-1))).sum()


@RIGHT()
def mse_in_logs(x, y):
    return F.mse_loss(torch.log1p(x.abs()), torch.log1p(y.abs()))


@RIGHT()
def poisson_nll(x, target):
    return (torch.exp(x) - target * x).mean() + F.poisson_nll_loss(x, target, full=True)


@RIGHT()
def signal_to_noise(x, y):
    return 10 * torch.log10((y.pow(2).sum() + 1e-8) / ((x - y).pow(2).sum() + 1e-8))


@RIGHT()
def quantile_loss(x, y):
    d = y - x
    return torch.maximum(0.9 * d, -0.1 * d).mean()


@RIGHT()
def gru_gate(x, y):
    z, r = torch.sigmoid(x), torch.sigmoid(y)
    return (1 - z) * torch.tanh(r * x) + z * y


@RIGHT()
def layer_scale_residual(x):
    return x + 1e-6 * ENCODER(F.layer_norm(x, (16,)))


@RIGHT()
def fake_quantize(x):
    scale = x.abs().max().clamp(min=1e-8) / 127
    return torch.round(x / scale).clamp(-128, 127) * scale


@RIGHT()
def mean_pooling(x, mask):
    m = mask.unsqueeze(-1).float()
    return (x.unsqueeze(-1) * m).sum(1) / torch.clamp(m.sum(1), min=1e-9)
