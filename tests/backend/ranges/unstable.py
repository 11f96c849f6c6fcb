"""Programs with one numerics bug each, in the words of those who write them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tests.backend.ranges.programs import Corpus

UNSTABLE = Corpus()
WEIGHT = torch.nn.Linear(16, 16)


@UNSTABLE()
def scale_then_exp(x):
    y = x * 1e10  # bug: overflow
    return torch.exp(y)  # bug: overflow


@UNSTABLE()
def twice_scaled(x):
    y = x * 1e15  # bug: overflow
    z = y * 1e25  # bug: overflow
    return z.mean()


@UNSTABLE()
def softmax_by_hand(x):
    e = torch.exp(x)  # bug: overflow
    return e / e.sum(-1, keepdim=True)


@UNSTABLE()
def softmax_in_one_line(logits):
    return logits.exp() / torch.sum(logits.exp(), dim=1, keepdim=True)  # bug: overflow


@UNSTABLE()
def logsumexp_by_hand(x):
    return torch.log(torch.sum(torch.exp(x), dim=-1))  # bug: overflow


@UNSTABLE()
def softplus_by_hand(x):
    return torch.log(1 + torch.exp(x)).mean()  # bug: overflow


@UNSTABLE()
def sigmoid_by_hand(x):
    return torch.exp(x) / (1 + torch.exp(x))  # bug: overflow


@UNSTABLE()
def tanh_by_hand(x):
    up, down = torch.exp(x), torch.exp(-x)  # bug: overflow
    return (up - down) / (up + down)


@UNSTABLE()
def log_cosh(x, target):
    return torch.log(torch.cosh(x - target)).mean()  # bug: overflow


@UNSTABLE()
def exp_of_exp(x):
    return torch.exp(torch.exp(x))  # bug: overflow


@UNSTABLE()
def exp_of_square(x):
    return torch.exp(x**2)  # bug: overflow


@UNSTABLE()
def half_times_large(half):
    return half * 1e5  # bug: overflow


@UNSTABLE()
def half_exp(half):
    scores = half.tanh() * 20
    return scores.exp()  # bug: overflow


@UNSTABLE()
def half_sum_of_squares(half_long):
    return half_long.pow(2).sum()  # bug: overflow


@UNSTABLE()
def contrastive_cold(x, y):
    similarity = F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T
    return torch.exp(similarity / 0.005).sum(-1)  # bug: overflow


@UNSTABLE()
def exp_of_steep_gate(x):
    gate = 100 * torch.sigmoid(x)
    return torch.exp(gate)  # bug: overflow


@UNSTABLE(image=(0.0, 255.0))
def exp_of_pixels(image):
    return torch.exp(image).mean()  # bug: overflow


@UNSTABLE(x=(0.0, 1e20))
def square_of_large(x):
    return (x * x).sum(-1)  # bug: overflow


@UNSTABLE(x=(0.0, 1e6))
def cast_to_half(x):
    return x.to(torch.float16)  # bug: overflow


@UNSTABLE(x=(1.0, 100.0))
def high_power(x):
    return x**30  # bug: overflow


@UNSTABLE(x=(0.0, 50.0))
def power_of_ten(x):
    return 10.0**x  # bug: overflow


@UNSTABLE(long=(1.0, 10.0))
def product_of_many(long):
    return torch.prod(long)  # bug: overflow


@UNSTABLE()
def factorials():
    numbers = torch.arange(1.0, 60.0)
    return torch.cumprod(numbers, 0)  # bug: overflow


@UNSTABLE(half_image=(0.0, 255.0))
def half_mean_by_sum(half_image):
    return half_image.sum() / half_image.numel()  # bug: overflow


@UNSTABLE(half_query=(-100.0, 100.0), half_key=(-100.0, 100.0))
def half_scores(half_query, half_key):
    return half_query @ half_key.T  # bug: overflow


@UNSTABLE(x=(0.0, 1e25), y=(0.0, 1e25))
def hypotenuse(x, y):
    return torch.sqrt(x**2 + y**2)  # bug: overflow


@UNSTABLE()
def constant_too_large(x):
    return x * 1e39  # bug: overflow


@UNSTABLE(x=(0.0, 100.0))
def sinh_of_large(x):
    return torch.sinh(x)  # bug: overflow


@UNSTABLE()
def constant_too_small(x):
    return x * 1e-50  # bug: underflow


@UNSTABLE()
def half_too_small(half):
    return half * 1e-9  # bug: underflow


@UNSTABLE()
def half_epsilon_is_lost(half):
    return half / (half.norm(dim=-1, keepdim=True) + 1e-8)  # bug: division by zero


@UNSTABLE()
def half_log_epsilon_is_lost(half):
    p = torch.softmax(half, dim=-1)
    return torch.log(p + 1e-8)  # bug: domain


@UNSTABLE()
def likelihood_product(long):
    p = torch.sigmoid(long)
    return torch.prod(p)  # bug: underflow


@UNSTABLE()
def log_of_product(long):
    likelihood = torch.sigmoid(long).prod()  # bug: underflow
    return -torch.log(likelihood)  # bug: domain


@UNSTABLE()
def always_zero(x):
    return torch.exp(-1000 * (1 + x**2))  # bug: underflow


@UNSTABLE(x=(200.0, 500.0))
def decay_to_nothing(x):
    return torch.exp(-x)  # bug: underflow


@UNSTABLE(x=(1e-30, 1e-25))
def square_of_small(x):
    return x**2  # bug: underflow


@UNSTABLE(x=(1e-30, 1.0))
def inverse_square_of_small(x):
    r2 = x * x
    return 1.0 / r2  # bug: division by zero


@UNSTABLE()
def unit_vector(x):
    return x / x.norm(dim=-1, keepdim=True)  # bug: division by zero


@UNSTABLE()
def standardise(x):
    return (x - x.mean(0)) / x.std(0)  # bug: division by zero


@UNSTABLE()
def minmax(x):
    low, high = x.min(), x.max()
    return (x - low) / (high - low)  # bug: division by zero


@UNSTABLE()
def minmax_by_row(x):
    low = x.amin(1, keepdim=True)
    high = x.amax(1, keepdim=True)
    span = high - low
    return (x - low) / span  # bug: division by zero


@UNSTABLE()
def quantization_scale(x):
    scale = 127 / x.abs().max()  # bug: division by zero
    return torch.round(x * scale)


@UNSTABLE()
def masked_mean(x, mask):
    total = (x * mask).sum(-1)
    return total / mask.sum(-1)  # bug: division by zero


@UNSTABLE()
def divide_by_relu(x, y):
    return x / torch.relu(y)  # bug: division by zero


@UNSTABLE()
def odds(x):
    p = torch.sigmoid(x)
    return p / (1 - p)  # bug: division by zero


@UNSTABLE()
def divide_by_centred(x):
    centred = x - x.mean(-1, keepdim=True)
    return 1.0 / centred  # bug: division by zero


@UNSTABLE()
def sinc(x):
    return torch.sin(x) / torch.sin(2 * x)  # bug: division by zero


@UNSTABLE()
def coth(x):
    return 1 / torch.tanh(x)  # bug: division by zero


@UNSTABLE()
def layer_norm_without_epsilon(x):
    mean = x.mean(-1, keepdim=True)
    var = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) * torch.rsqrt(var)  # bug: division by zero


@UNSTABLE()
def rms_norm_without_epsilon(x):
    rms = x.pow(2).mean(-1, keepdim=True).sqrt()
    return x / rms  # bug: division by zero


@UNSTABLE()
def pairwise_inverse(long):
    few = long[:64]
    differences = few[:, None] - few[None, :]
    return (1.0 / differences.abs()).sum()  # bug: division by zero


@UNSTABLE()
def coulomb(points):
    return (1.0 / torch.cdist(points, points)).sum()  # bug: division by zero


@UNSTABLE(x=(0.0, 3.0))
def divide_by_floor(x, y):
    return y / torch.floor(x)  # bug: division by zero


@UNSTABLE(x=(0.0, 1.0))
def inverse_of_declared(x):
    return 1 / x  # bug: division by zero


@UNSTABLE(x=(-1.0, 1.0))
def divide_by_signed(x, y):
    return y / x  # bug: division by zero


@UNSTABLE()
def class_means(x, labels):
    onehot = F.one_hot(labels, 10).float()
    counts = onehot.sum(0)
    return (onehot.T @ x) / counts[:, None]  # bug: division by zero


@UNSTABLE()
def inverse_frequency(labels):
    counts = torch.bincount(labels, minlength=10)
    return 1.0 / counts.float()  # bug: division by zero


@UNSTABLE()
def relu_attention(query, key, value):
    weights = F.relu(query @ key.transpose(-2, -1))
    weights = weights / weights.sum(-1, keepdim=True)  # bug: division by zero
    return weights @ value


@UNSTABLE()
def precision_of(logits, mask):
    predicted = logits > 0
    hits = (predicted & mask).sum()
    return hits / predicted.sum()  # bug: division by zero


@UNSTABLE()
def margin_inverse(x):
    margin = x.max(dim=-1, keepdim=True).values - x
    return 1.0 / margin  # bug: division by zero


@UNSTABLE()
def cosine_by_hand(x, y):
    dot = (x * y).sum(-1)
    return dot / (x.norm(dim=-1) * y.norm(dim=-1))  # bug: division by zero


@UNSTABLE()
def negative_power(x):
    return torch.relu(x) ** -0.5  # bug: division by zero


@UNSTABLE()
def log_of_softmax(x):
    p = torch.softmax(x, dim=-1)
    return torch.log(p)  # bug: domain


@UNSTABLE()
def nll_of_softmax(logits, labels):
    p = F.softmax(logits, dim=1)
    picked = p[torch.arange(8), labels]
    return -picked.log().mean()  # bug: domain


@UNSTABLE()
def log_of_one_minus_sigmoid(x):
    return torch.log(1 - torch.sigmoid(x))  # bug: domain


@UNSTABLE()
def bce_by_hand(logits, target):
    p = torch.sigmoid(logits)
    positive = target * torch.log(p)  # bug: domain
    negative = (1 - target) * torch.log(1 - p)  # bug: domain
    return -(positive + negative).mean()


@UNSTABLE()
def log_of_relu(x):
    return torch.log(torch.relu(x))  # bug: domain


@UNSTABLE()
def log_of_tanh(x):
    return torch.log(torch.tanh(x))  # bug: domain


@UNSTABLE()
def sqrt_of_centred(x):
    return torch.sqrt(x - x.mean())  # bug: domain


@UNSTABLE()
def sine_from_cosine(x, y):
    cosine = F.cosine_similarity(x, y, dim=-1)
    return torch.sqrt(1 - cosine**2)  # bug: domain


@UNSTABLE()
def angle(x, y):
    cosine = (F.normalize(x, dim=-1) * F.normalize(y, dim=-1)).sum(-1)
    return torch.acos(cosine)  # bug: domain


@UNSTABLE()
def inverse_of_tanh(x):
    return torch.atanh(torch.tanh(x))  # bug: domain


@UNSTABLE()
def log_of_layer_norm(x):
    return torch.log(F.layer_norm(x, (16,)))  # bug: domain


@UNSTABLE()
def distances_by_products(x, y):
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T
    return torch.sqrt(squared)  # bug: domain


@UNSTABLE()
def clamp_that_does_nothing(x):
    p = torch.sigmoid(x).clamp(1e-10, 1 - 1e-10)
    return torch.log(1 - p)  # bug: domain


@UNSTABLE()
def entropy(x):
    p = torch.softmax(x, -1)
    return -(p * p.log()).sum(-1)  # bug: domain


@UNSTABLE()
def kl_of_softmaxes(x, y):
    p, q = x.softmax(-1), y.softmax(-1)
    return (p * torch.log(p / q)).sum()  # bug: division by zero


@UNSTABLE()
def log_of_mask(mask):
    return torch.log(mask.float())  # bug: domain


@UNSTABLE()
def sqrt_of_cosine(x):
    return torch.cos(x).sqrt()  # bug: domain


@UNSTABLE()
def log_of_linear(x):
    hidden = F.linear(x, WEIGHT.weight, WEIGHT.bias)
    return torch.log(hidden)  # bug: domain


@UNSTABLE()
def power_of_layer_norm(x):
    return F.layer_norm(x, (16,)) ** 0.5  # bug: domain


@UNSTABLE()
def mask_times_infinity(x, mask):
    return (x + mask.float() * float("-inf")).softmax(-1)  # bug: domain


@UNSTABLE()
def log_of_determinant(matrix):
    return torch.log(torch.det(matrix @ matrix.T))  # bug: domain


@UNSTABLE(x=(-1.0, 1.0))
def log_of_declared(x):
    return torch.log(x)  # bug: domain


@UNSTABLE(x=(-2.0, 5.0))
def sqrt_of_declared(x):
    return x.sqrt()  # bug: domain


@UNSTABLE()
def log1p_of_minus_sigmoid(x):
    return torch.log1p(-torch.sigmoid(x))  # bug: domain


@UNSTABLE()
def log_of_variance(x):
    return torch.log(x.var(dim=-1))  # bug: domain


@UNSTABLE()
def squashed_gaussian(mu, logvar, x):
    action = torch.tanh(mu + logvar.exp() * x)
    return torch.log(1 - action.pow(2)).sum(-1)  # bug: domain


@UNSTABLE()
def variance_by_moments(x):
    return (x**2).mean(-1) - x.mean(-1) ** 2  # bug: cancellation


@UNSTABLE()
def deviation_by_sums(x):
    n = x.shape[-1]
    mean = x.sum(-1) / n
    mean_of_squares = (x * x).sum(-1) / n
    return mean_of_squares - mean * mean  # bug: cancellation


@UNSTABLE()
def exp_minus_one(x):
    return torch.exp(x) - 1  # bug: cancellation


@UNSTABLE()
def shifted_there_and_back(x):
    return (x + 1e8) - 1e8  # bug: cancellation


@UNSTABLE(x=(1e6, 1e8))
def difference_of_roots(x):
    return torch.sqrt(x + 1) - torch.sqrt(x)  # bug: cancellation


@UNSTABLE(x=(-1e-4, 1e-4))
def one_minus_cosine(x):
    return 1 - torch.cos(x)  # bug: cancellation


@UNSTABLE(x=(0.0, 1e-6))
def log_one_plus_tiny(x):
    return torch.log(1 + x)  # bug: cancellation


@UNSTABLE(brain_long=(0.0, 1.0))
def brain_sum(brain_long):
    return brain_long.sum()  # bug: low-precision accumulation


@UNSTABLE()
def half_running_sum(half_long):
    return half_long[:10_000].cumsum(0)  # bug: low-precision accumulation


@UNSTABLE()
def brain_loop(brain_long):
    total = torch.zeros((), dtype=torch.bfloat16)
    for i in range(300):
        total = total + brain_long[i].abs()  # bug: low-precision accumulation
    return total


@UNSTABLE()
def brain_average(brain):
    average = torch.zeros_like(brain)
    return average * 0.999 + brain * 0.001  # bug: low-precision accumulation


@UNSTABLE()
def counted_in_half(half_long):
    hits = (half_long[:50_000] > 0).half()
    return hits.sum()  # bug: low-precision accumulation


@UNSTABLE()
def cast_before_sum(long):
    return (long**2).to(torch.bfloat16).sum()  # bug: low-precision accumulation


@UNSTABLE()
def log_of_gaussian(x, mu):
    density = torch.exp(-0.5 * (x - mu) ** 2) / math.sqrt(2 * math.pi)
    return torch.log(density)  # bug: domain


@UNSTABLE()
def swish_by_hand(x):
    return x / (1 + torch.exp(-x))  # bug: overflow


@UNSTABLE()
def info_nce_by_hand(x, y):
    scores = x @ y.T
    positive = torch.exp(scores.diag())  # bug: overflow
    return -torch.log(positive / torch.exp(scores).sum(1)).mean()  # bug: overflow
