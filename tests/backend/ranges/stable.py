"""Correct programs that look like those of ``unstable``: none may be warned about."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tests.backend.ranges.programs import Corpus

STABLE = Corpus()
WEIGHT = torch.nn.Linear(16, 16)
BETAS = torch.linspace(1e-4, 0.02, 1000)


@STABLE()
def log_of_softmax_with_epsilon(x):
    return torch.log(torch.softmax(x, -1) + 1e-8)


@STABLE()
def root_of_variance_with_epsilon(x):
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + 1e-5)


@STABLE()
def unit_vector_with_epsilon(x):
    return x / (x.norm(dim=-1, keepdim=True) + 1e-8)


@STABLE()
def renormalised_softmax(x):
    p = torch.softmax(x, -1)
    return p / p.sum(-1, keepdim=True)


@STABLE()
def masked_softmax(query, key, value):
    scores = query @ key.transpose(-2, -1) / math.sqrt(8)
    causal = torch.tril(torch.ones(16, 16, dtype=torch.bool))
    return scores.masked_fill(~causal, float("-inf")).softmax(-1) @ value


@STABLE()
def softmax_with_max(x):
    e = torch.exp(x - x.max(dim=-1, keepdim=True).values)
    return e / e.sum(-1, keepdim=True)


@STABLE()
def softmax_with_amax(x):
    shifted = x - x.amax(dim=1)[:, None]
    e = shifted.exp()
    return e / e.sum(dim=1).unsqueeze(1)


@STABLE()
def logsumexp_with_max(x):
    m = x.amax(-1, keepdim=True)
    return (m + torch.log(torch.exp(x - m).sum(-1, keepdim=True))).squeeze(-1)


@STABLE()
def log_softmax_with_detached_max(x):
    shifted = x - x.detach().max(-1, keepdim=True)[0]
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


@STABLE()
def softplus_of_absolute(x):
    return torch.relu(x) + torch.log1p(torch.exp(-torch.abs(x)))


@STABLE()
def softplus_with_log(x):
    return torch.clamp(x, min=0) + torch.log(1 + torch.exp(-x.abs()))


@STABLE()
def bce_with_logits_by_hand(logits, target):
    loss = logits.clamp(min=0) - logits * target + torch.log1p((-logits.abs()).exp())
    return loss.mean()


@STABLE()
def normalised(x):
    return F.normalize(x, dim=-1)


@STABLE()
def cosine_loss(x, y):
    return (1 - F.cosine_similarity(x, y)).mean()


@STABLE()
def minmax_with_epsilon(x):
    low, high = x.min(), x.max()
    return (x - low) / (high - low + 1e-6)


@STABLE()
def minmax_clamped(x):
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-5)


@STABLE()
def masked_mean_clamped(x, mask):
    return (x * mask.unsqueeze(-1)[..., 0]).sum(1) / mask.sum(1).clamp(min=1)


@STABLE()
def masked_mean_of_floats(x, float_mask):
    return (x * float_mask).sum(1) / float_mask.sum(1)


@STABLE()
def divide_inputs(x, y):
    return x / y


@STABLE()
def log_of_input(probability):
    return torch.log(probability)


@STABLE()
def kl_of_inputs(probability, other_probability):
    return (probability * (torch.log(probability) - torch.log(other_probability))).sum(-1)


@STABLE()
def root_of_input(x):
    return torch.sqrt(x)


@STABLE()
def vae_loss(mu, logvar, x):
    std = torch.exp(0.5 * logvar)
    z = mu + std * torch.randn_like(std)
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=-1)
    return F.mse_loss(z, x) + kl.mean()


@STABLE()
def vae_kl_reordered(mu, logvar):
    return 0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar).sum(-1).mean()


@STABLE()
def gaussian_nll(mu, logvar, target):
    return (0.5 * (logvar + (target - mu) ** 2 / logvar.exp())).mean()


@STABLE()
def gaussian_policy(mu, logvar, x):
    std = logvar.exp()
    return (-((x - mu) ** 2) / (2 * std**2) - logvar - math.log(math.sqrt(2 * math.pi))).sum(-1)


@STABLE()
def ppo(x, y, z):
    log_ratio = x - y
    ratio = torch.exp(log_ratio)
    kl = ((ratio - 1) - log_ratio).mean()
    clipped = ((ratio - 1.0).abs() > 0.2).float().mean()
    advantage = (z - z.mean()) / (z.std() + 1e-8)
    surrogate = torch.max(-advantage * ratio, -advantage * torch.clamp(ratio, 0.8, 1.2))
    return surrogate.mean() + kl + clipped


@STABLE()
def squashed_gaussian_with_epsilon(mu, logvar, x):
    action = torch.tanh(mu + logvar.clamp(-20, 2).exp() * x)
    return torch.log(1 - action.pow(2) + 1e-6).sum(-1)


@STABLE()
def squashed_gaussian_by_softplus(x):
    return 2 * (math.log(2) - x - F.softplus(-2 * x))


@STABLE()
def clamp_that_works(x):
    p = torch.sigmoid(x).clamp(1e-6, 1 - 1e-6)
    return -(torch.log(p) + torch.log(1 - p)).mean()


@STABLE()
def bce_with_clamps(logits, target):
    p = torch.sigmoid(logits)
    return -(target * p.clamp(min=1e-7).log() + (1 - target) * (1 - p).clamp(min=1e-7).log()).mean()


@STABLE()
def bce_of_torch(logits, target):
    return F.binary_cross_entropy(torch.sigmoid(logits), target)


@STABLE()
def entropy_from_log_softmax(x):
    logp = F.log_softmax(x, -1)
    return -(logp.exp() * logp).sum(-1)


@STABLE()
def entropy_by_xlogy(x):
    p = torch.softmax(x, -1)
    return -torch.special.xlogy(p, p).sum(-1)


@STABLE()
def entropy_where(x):
    p = torch.softmax(x, -1)
    return -torch.where(p > 0, p * torch.log(p), torch.zeros_like(p)).sum(-1)


@STABLE()
def safe_division_where(x, y):
    divisor = torch.where(y.abs() > 1e-6, y.abs(), torch.ones_like(y))
    return x / divisor


@STABLE()
def division_then_where(x, mask):
    count = mask.sum(-1)
    return torch.where(count > 0, x.sum(-1) / count, 0.0)


@STABLE()
def division_then_nan_to_num(x, mask):
    return torch.nan_to_num((x * mask).sum(-1) / mask.sum(-1))


@STABLE()
def log_where_positive(x):
    return torch.where(x > 0, torch.log(torch.relu(x)), torch.zeros_like(x))


@STABLE()
def kl_of_torch(x, y):
    return F.kl_div(F.log_softmax(x, -1), F.softmax(y, -1), reduction="batchmean")


@STABLE()
def cross_entropy(logits, labels):
    return F.cross_entropy(logits, labels, label_smoothing=0.1)


@STABLE()
def focal_loss(logits, labels):
    ce = F.cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-ce)) ** 2 * ce).mean()


@STABLE()
def nt_xent(x, y):
    z = F.normalize(torch.cat([x, y]), dim=1)
    similarity = torch.exp(z @ z.t() / 0.1)
    positive = torch.exp((z * z.roll(8, 0)).sum(-1) / 0.1)
    others = ~torch.eye(16, dtype=torch.bool)
    return -torch.log(positive / (similarity * others).sum(-1).clamp(min=1e-6)).mean()


@STABLE()
def info_nce(x, y):
    x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    return F.cross_entropy(x @ y.T / 0.07, torch.arange(8))


@STABLE()
def info_nce_by_hand_on_sphere(x, y):
    scores = F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T / 0.07
    return -torch.log(torch.exp(scores.diag()) / torch.exp(scores).sum(1)).mean()


@STABLE()
def clip_heads(x, y, scalar):
    image = WEIGHT(x)
    text = WEIGHT(y)
    image = image / image.norm(dim=1, keepdim=True)
    text = text / text.norm(dim=1, keepdim=True)
    return scalar.exp() * image @ text.t()


@STABLE()
def rms_norm(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


@STABLE()
def llama_norm(brain):
    h = brain.to(torch.float32)
    h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6)
    return h.to(torch.bfloat16)


@STABLE()
def distances_clamped(x, y):
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T
    return torch.sqrt(squared.clamp(min=1e-12))


@STABLE()
def nearest_code(x, y):
    squared = x.pow(2).sum(1, keepdim=True) - 2 * x @ y.t() + y.pow(2).sum(1)
    return squared.argmin(1)


@STABLE()
def kernel_of_distances(points):
    squared = torch.cdist(points, points) ** 2
    return torch.exp(-squared / 0.5)


@STABLE()
def gaussian_kernel(x, y):
    return torch.exp(-((x[:, None] - y[None]) ** 2).sum(-1) / 2).mean()


@STABLE()
def angle_clamped(x, y):
    cosine = F.cosine_similarity(x, y)
    return torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))


@STABLE()
def arcface(x, y):
    cosine = F.linear(F.normalize(x), F.normalize(y))
    sine = torch.sqrt((1.0 - cosine.pow(2)).clamp(1e-9, 1))
    return 30 * (cosine * math.cos(0.5) - sine * math.sin(0.5))


@STABLE()
def diffusion_noise(x, labels):
    kept = torch.cumprod(1 - BETAS, 0)
    a = kept[labels].sqrt()[:, None]
    b = (1 - kept[labels]).sqrt()[:, None]
    return (a * x + b * torch.randn_like(x)) / a


@STABLE()
def timestep_embedding(labels):
    frequencies = torch.exp(-math.log(10000) * torch.arange(0, 8, dtype=torch.float32) / 8)
    angles = labels[:, None].float() * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


@STABLE()
def rotary(query):
    inverse = 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8))
    angles = torch.outer(torch.arange(16).float(), inverse)
    cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
    first, second = query.chunk(2, -1)
    return query * cos + torch.cat([-second, first], -1) * sin


@STABLE()
def additive_mask(query, key, float_mask):
    scores = query @ key.transpose(-2, -1)
    return (scores + (1.0 - float_mask[0]) * -10000.0).softmax(-1)


@STABLE()
def additive_mask_of_minimum(query, key, mask):
    extended = (1.0 - mask[0].float()) * torch.finfo(torch.float32).min
    return (query @ key.transpose(-2, -1) + extended).softmax(-1)


@STABLE()
def mask_by_where(x, mask):
    return torch.where(mask, x, torch.tensor(-1e9)).softmax(-1)


@STABLE()
def mask_by_fill_in_half(half, mask):
    return half.masked_fill(~mask, torch.finfo(torch.float16).min).softmax(-1)
