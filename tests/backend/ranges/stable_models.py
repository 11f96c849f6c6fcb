"""More correct programs: losses, layers and updates as they stand in models, and low precision done right."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tests.backend.ranges.programs import Corpus

MODELS = Corpus()
WEIGHT = torch.nn.Linear(16, 16)
BETAS = torch.linspace(1e-4, 0.02, 1000)


@MODELS()
def gumbel(x):
    uniform = torch.rand_like(x).clamp(min=1e-9, max=1 - 1e-6)
    return (x - torch.log(-torch.log(uniform))).softmax(-1)


@MODELS()
def exponential_gumbel(x):
    noise = -torch.empty_like(x).exponential_().log()
    return (x + noise).softmax(-1)


@MODELS()
def top_k_routing(x):
    weights, chosen = torch.topk(torch.softmax(x, -1), 2, dim=-1)
    return weights / weights.sum(-1, keepdim=True), chosen


@MODELS()
def linear_attention(query, key, value):
    q, k = F.elu(query) + 1, F.elu(key) + 1
    state = k.transpose(-2, -1) @ value
    return (q @ state) / (q * k.sum(-2, keepdim=True)).sum(-1, keepdim=True)


@MODELS()
def relu_attention_with_epsilon(query, key, value):
    weights = F.relu(query @ key.transpose(-2, -1))
    return (weights / (weights.sum(-1, keepdim=True) + 1e-6)) @ value


@MODELS()
def expm1(x):
    return torch.expm1(x)


@MODELS()
def elu_by_torch(x):
    return F.elu(x) + F.selu(x) + F.celu(x) + F.gelu(x) + F.silu(x) + F.mish(x)


@MODELS()
def variance(x):
    return x.var(-1) + ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1)


@MODELS()
def dice(logits, target):
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)


@MODELS()
def charbonnier(x, y):
    return torch.sqrt((x - y) ** 2 + 1e-6).mean()


@MODELS()
def rmse(x, y):
    return torch.sqrt(F.mse_loss(x, y))


@MODELS()
def hinge(x, y):
    return torch.relu(1 - x * y).mean()


@MODELS()
def gan_losses(logits, target):
    real = F.softplus(-logits).mean()
    fake = F.softplus(target).mean()
    return real + fake + F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


@MODELS()
def wasserstein_penalty(x, y):
    alpha = torch.rand(8, 1)
    mixed = alpha * x + (1 - alpha) * y
    norm = (mixed * 3).norm(2, dim=1)
    return ((norm - 1) ** 2).mean()


@MODELS()
def reinforce(logits, labels, scalar):
    logp = F.log_softmax(logits, -1).gather(1, labels[:, None]).squeeze(1)
    return -(logp * scalar).mean()


@MODELS()
def distribution_losses(mu, logvar, x):
    q = torch.distributions.Normal(mu, logvar.exp(), validate_args=False)
    p = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu), validate_args=False)
    return torch.distributions.kl_divergence(q, p).mean() - q.log_prob(x).mean()


@MODELS()
def categorical(logits):
    d = torch.distributions.Categorical(logits=logits, validate_args=False)
    return d.entropy().mean()


@MODELS()
def temperature_by_exp(x, scalar):
    return (x * scalar.exp()).softmax(-1)


@MODELS()
def exp_of_input(x):
    return torch.exp(x)


@MODELS()
def exp_of_negative_square(x):
    return torch.exp(-(x**2))


@MODELS()
def bounded_exp(x):
    return torch.exp(10 * torch.tanh(x))


@MODELS()
def exp_clamped(x):
    return torch.exp((x * 1e10).clamp(max=80))


@MODELS(x=(-10.0, 10.0))
def exp_of_declared(x):
    e = torch.exp(x)
    return e / e.sum(-1, keepdim=True)


@MODELS(x=(0.1, 1.0))
def log_of_declared_positive(x):
    return torch.log(x) + 1 / x + x.rsqrt()


@MODELS(image=(0.0, 255.0))
def scaled_pixels(image):
    return (image / 255 - 0.5) / 0.5


@MODELS(half_image=(0.0, 1.0))
def half_pixels(half_image):
    return half_image.float().sum() / half_image.numel() + half_image.mean()


@MODELS()
def float_sum_of_brain(brain_long):
    return brain_long.sum(dtype=torch.float32) + brain_long.float().cumsum(0)[-1]


@MODELS()
def brain_mean(brain):
    return brain.mean(-1) + brain.softmax(-1).sum()


@MODELS()
def half_epsilon_that_holds(half):
    return half / (half.norm(dim=-1, keepdim=True) + 1e-4)


@MODELS()
def half_epsilon_in_float(half):
    h = half.float()
    return (h / (h.norm(dim=-1, keepdim=True) + 1e-8)).half()


@MODELS()
def slogdet(matrix):
    return torch.linalg.slogdet(matrix @ matrix.T + torch.eye(16)).logabsdet


@MODELS()
def log_probabilities_summed(long):
    return F.logsigmoid(long).sum().exp()


@MODELS()
def transmittance(x, y):
    alpha = 1 - torch.exp(-F.relu(x) * y)
    kept = torch.cumprod(1 - alpha + 1e-10, -1)
    return (alpha * kept).sum(-1)


@MODELS()
def log_of_absolute_scale(x):
    scale = WEIGHT.weight.diag()
    return (x * scale).sum() + torch.log(torch.abs(scale)).sum()


@MODELS()
def kahan(brain_long):
    total = torch.zeros(())
    lost = torch.zeros(())
    for i in range(8):
        term = brain_long[i].float() - lost
        new = total + term
        lost = (new - total) - term
        total = new
    return total


@MODELS()
def ema(x, y):
    return 0.999 * x + (1 - 0.999) * y


@MODELS()
def huber(x, y):
    d = (x - y).abs()
    return torch.where(d < 1, 0.5 * d**2, d - 0.5).mean()


@MODELS()
def group_norm_by_hand(image):
    g = image.reshape(2, 3, -1)
    mean, var = g.mean(-1, keepdim=True), g.var(-1, keepdim=True, unbiased=False)
    return ((g - mean) / (var + 1e-5).sqrt()).reshape(image.shape)


@MODELS()
def dropout_then_norm(x):
    return F.layer_norm(F.dropout(x, 0.5) + x, (16,))


@MODELS()
def mixture_log_density(mu, logvar, x):
    logs = -0.5 * ((x - mu) ** 2 * torch.exp(-logvar) + logvar)
    return torch.logsumexp(logs, -1)


@MODELS()
def class_means_clamped(x, labels):
    onehot = F.one_hot(labels, 10).float()
    return (onehot.T @ x) / onehot.sum(0).clamp(min=1)[:, None]


@MODELS()
def inverse_frequency_with_one(labels):
    return 1.0 / (torch.bincount(labels, minlength=10).float() + 1)


@MODELS()
def online_softmax(query, key, value):
    running = torch.full((2, 4, 16, 1), float("-inf"))
    weight = torch.zeros(2, 4, 16, 1)
    out = torch.zeros_like(query)
    for k, v in zip(key.chunk(2, 2), value.chunk(2, 2), strict=True):
        scores = query @ k.transpose(-2, -1)
        new = torch.maximum(running, scores.amax(-1, keepdim=True))
        p = torch.exp(scores - new)
        rescale = torch.exp(running - new)
        weight = weight * rescale + p.sum(-1, keepdim=True)
        out = out * rescale + p @ v
        running = new
    return out / weight


@MODELS()
def sinkhorn_in_logs(x):
    for _ in range(3):
        x = x - torch.logsumexp(x, -1, keepdim=True)
        x = x - torch.logsumexp(x, -2, keepdim=True)
    return x.exp()


@MODELS()
def fourier(x):
    spectrum = torch.fft.rfft(x)
    return torch.log(spectrum.abs() ** 2 + 1e-10)


@MODELS()
def accuracy(logits, labels):
    return (logits.argmax(-1) == labels).float().mean()


@MODELS()
def perplexity(logits, labels):
    return torch.exp(F.cross_entropy(logits, labels))


@MODELS()
def straight_through(x):
    return x + (torch.round(x) - x).detach()


@MODELS()
def gelu_by_hand(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@MODELS()
def layer_norm_in_half(half):
    return F.layer_norm(half, (16,))


@MODELS()
def clip_by_global_norm(x, y):
    norm = torch.sqrt(x.pow(2).sum() + y.pow(2).sum())
    scale = (1.0 / (norm + 1e-6)).clamp(max=1.0)
    return x * scale, y * scale


@MODELS()
def adam(x, y, z):
    m = 0.9 * x + 0.1 * z
    v = 0.999 * y + 0.001 * z * z
    return (m / (1 - 0.9**3)) / (torch.sqrt(v / (1 - 0.999**3)) + 1e-8)
