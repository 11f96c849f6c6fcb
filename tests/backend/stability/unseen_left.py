"""Third set of what must stay as its user wrote it: name: (function, inputs)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

T = torch.tensor
A = T([1.0, 3e7, -2.5, 1e-8, 0.1, 7.25])
B = T([1e-7, 1.0, 2.4999998, 1.0, -0.1, 1e7])
C = T([3.0, -0.7, 1.1, 0.3333333, 5e3, -1e-3])
X = T([[0.5, -1.25, 2.0, 0.1], [3.0, 0.75, -0.3, -2.0], [1.5, 0.25, 0.9, -0.6]])
Y = T([[1.5, 0.25, -1.0, 0.7], [-2.0, 1.75, 0.3, 1.0], [0.4, -0.8, 1.1, 2.0]])
UNIT = T([[0.1, 0.9, 0.5, 0.3], [0.7, 0.2, 0.8, 0.6]])
IMAGE = torch.linspace(0.05, 0.95, 2 * 4 * 3 * 3).reshape(2, 4, 3, 3)
BOXES = T([[0.0, 0.0, 2.0, 3.0], [1.0, 1.0, 4.0, 2.5], [0.5, 0.25, 1.5, 1.75]])
BOXES2 = T([[0.5, 0.5, 2.5, 2.0], [0.0, 1.5, 3.0, 4.0], [2.0, 2.0, 3.0, 3.5]])
HOLES = T([1.0, float("nan"), -float("inf"), 0.0, float("inf"), -2.0])
WHOLE = T([0.3, 1.7, -2.45, 100.2, -0.01, 3.5])
SIGNS = T([1.0, 0.0, 1.0, 0.0])
KEEP = T([[True, True, False, False], [True, True, True, False], [True, True, True, True]])


# --- compensated arithmetic -------------------------------------------------------------------------------------------
def two_sum(a, b):
    s = a + b
    bb = s - a
    err = (a - (s - bb)) + (b - bb)
    return torch.stack((s, err))


def fast_two_sum(a, b):
    big = torch.where(a.abs() >= b.abs(), a, b)
    little = torch.where(a.abs() >= b.abs(), b, a)
    s = big + little
    return s, little - (s - big)


def split(a):
    c = 4097.0 * a
    high = c - (c - a)
    return high, a - high


def two_product(a, b):
    p = a * b
    ah, al = split(a)
    bh, bl = split(b)
    return p + ((ah * bh - p) + ah * bl + al * bh + al * bl)


def product_error(a, b):
    p = a * b
    ah, al = split(a)
    bh, bl = split(b)
    return al * bl - (((p - ah * bh) - al * bh) - ah * bl)


def kahan(x):
    total = torch.zeros_like(x[0])
    c = torch.zeros_like(x[0])
    for i in range(x.shape[0]):
        y = x[i] - c
        t = total + y
        c = (t - total) - y
        total = t
    return total


def neumaier(x):
    s = x[:, 0]
    c = torch.zeros_like(s)
    for i in range(1, x.size(1)):
        v = x[:, i]
        t = s + v
        c = c + torch.where(s.abs() >= v.abs(), (s - t) + v, (v - t) + s)
        s = t
    return s + c


def compensated_dot(x, y):
    p, s = x[:, 0] * y[:, 0], x[:, 0] * 0
    for i in range(1, 4):
        h = x[:, i] * y[:, i]
        t = p + h
        z = t - p
        s = s + ((p - (t - z)) + (h - z))
        p = t
    return p + s


def double_double_add(ah, al, bh, bl):
    s = ah + bh
    v = s - ah
    e = (ah - (s - v)) + (bh - v) + al + bl
    high = s + e
    return torch.stack([high, e - (high - s)])


def double_double_difference(ah, al, bh, bl):
    return (ah - bh) + (al - bl)


def kahan_optimiser(weight, buffer, update):
    step = update - buffer
    new = weight + step
    return new, (new - weight) - step


def bf16_residual(master):
    high = master.to(torch.bfloat16).float()
    low = (master - high).to(torch.bfloat16).float()
    return master - high - low


def kahan_log1p(x):
    u = 1.0 + x
    return torch.where(u == 1.0, x, torch.log(u) * x / (u - 1.0))


def kahan_expm1(x):
    u = torch.exp(x)
    um1 = u - 1.0
    return torch.where(u == 1.0, x, um1 * x / torch.log(u))


def kahan_determinant(a, b, c, d):
    w = b * c
    e = torch.addcmul(-w, b, c)
    f = torch.addcmul(-w, a, d)
    return f + e


def magic_round(x):
    magic = 12582912.0
    return (x + magic) - magic


def magic_round_to_grid(x, step=0.125):
    big = 1.5 * 2**23 * step
    y = x + big
    return y - big


def cody_waite(x):
    k = torch.round(x * (1 / math.log(2)))
    r = x - k * 0.693359375
    return r - k * -2.12194440e-4


# --- straight-through, quantisation, probes, measurements -------------------------------------------------------------
def ste_round(x):
    return x + (torch.round(x) - x).detach()


def ste_binarise(x):
    hard = (x > 0).float()
    soft = torch.sigmoid(x)
    return hard - soft.detach() + soft


def hard_gumbel(logits, noise):
    y = torch.softmax((logits + noise) / 0.5, dim=-1)
    hard = F.one_hot(y.argmax(-1), 4).float()
    return hard - y.detach() + y


def vector_quantise(z, codebook):
    d = torch.cdist(z, codebook)
    q = codebook[d.argmin(dim=1)]
    return z + (q - z).detach()


def fake_quant(x):
    scale = x.abs().amax() / 127
    q = torch.clamp(torch.round(x / scale), -128, 127)
    return q * scale


def fake_quant_affine(x):
    lo, hi = x.min(), x.max()
    scale = (hi - lo) / 255
    zero = torch.round(-lo / scale)
    return (torch.clamp(torch.round(x / scale) + zero, 0, 255) - zero) * scale


def stochastic_round(x, noise):
    low = torch.floor(x)
    return low + (noise < x - low).float()


def epsilon_probe(x):
    return (x * 4.0 / 3.0 - 1.0) * 3.0 - 1.0


def unit_roundoff(h):
    return ((1.0 + h) - 1.0) - h


def absorbed(x, step):
    return ((x + step) == x).float()


def dithering_error(x):
    q = torch.round(x * 16) / 16
    return x - q


def cast_error(x):
    return (x - x.half().float()) / x.abs()


def pade_error(x):
    approx = x * (27 + x * x) / (27 + 9 * x * x)
    return torch.tanh(x) - approx


def newton_residual(a):
    r = torch.rsqrt(a)
    return 1.0 - a * r * r


def refined_reciprocal(a):
    r = 1.0 / a
    return r * (2.0 - a * r)


def residual_refinement(m, b, x):
    return b - m @ x


# --- stable already ---------------------------------------------------------------------------------------------------
def stable_softmax(x):
    m = x.amax(dim=-1, keepdim=True)
    e = torch.exp(x - m)
    return e / e.sum(dim=-1, keepdim=True)


def stable_logsumexp(x):
    m = x.max(dim=1, keepdim=True).values
    return (m + torch.log(torch.exp(x - m).sum(dim=1, keepdim=True))).squeeze(1)


def stable_bce(x, y):
    return (F.relu(x) - x * y + torch.log1p(torch.exp(-torch.abs(x)))).mean()


def stable_softplus(x):
    return torch.clamp(x, min=0) + torch.log1p(torch.exp(-x.abs()))


def stable_logaddexp(a, b):
    return torch.maximum(a, b) + torch.log1p(torch.exp(-(a - b).abs()))


def two_pass_variance(x):
    d = x - x.mean(-1, keepdim=True)
    return (d * d).sum(-1) / (x.size(-1) - 1)


def welford(x):
    mean, m2 = x[:, 0], torch.zeros_like(x[:, 0])
    for n in range(1, 4):
        delta = x[:, n] - mean
        mean = mean + delta / (n + 1)
        m2 = m2 + delta * (x[:, n] - mean)
    return m2 / 3


def scaled_norm(x):
    m = x.abs().amax(-1, keepdim=True)
    return m.squeeze(-1) * torch.linalg.vector_norm(x / m, dim=-1)


def where_done_right(x):
    safe = torch.where(x > 0, x, torch.ones_like(x))
    return torch.where(x > 0, torch.log(safe), torch.zeros_like(x))


def masked_attention(q, k, v, keep):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    scores = scores.masked_fill(~keep[:, :3], float("-inf"))
    return torch.softmax(scores, dim=-1) @ v


def online_softmax(x):
    m, s = x[:, 0], torch.ones_like(x[:, 0])
    for i in range(1, 4):
        new = torch.maximum(m, x[:, i])
        s = s * torch.exp(m - new) + torch.exp(x[:, i] - new)
        m = new
    return torch.exp(x - m[:, None]) / s[:, None]


# --- nan and inf ------------------------------------------------------------------------------------------------------
def drop_nan(x):
    return torch.where(x != x, torch.zeros_like(x), x)  # noqa: PLR0124  as people ask for NaN


def finite_mask(x):
    return (x - x == 0).float()


def poisoned(x):
    return x.sum() * 0.0


def overflow_flag(x):
    return torch.isinf(torch.exp(x)).float()


def log_zero(p):
    return torch.log(p).nan_to_num(neginf=-1e4)


# --- ordinary layers --------------------------------------------------------------------------------------------------
class RMSNorm(nn.Module):
    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


class LayerNormByHand(nn.Module):
    def forward(self, x):
        u = x.mean(-1, keepdim=True)
        s = (x - u).pow(2).mean(-1, keepdim=True)
        return (x - u) / torch.sqrt(s + 1e-12)


def gelu_tanh(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def swiglu(x, y):
    return x * torch.sigmoid(x) * y


def rope(x):
    half = x[:, :2], x[:, 2:]
    angle = torch.arange(3.0)[:, None] * T([1.0, 0.01])
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.cat((half[0] * cos - half[1] * sin, half[1] * cos + half[0] * sin), -1)


def gated_sum(gate, x, y):
    return gate * x + (1 - gate) * y


def ema(avg, x, decay=0.999):
    return decay * avg + (1 - decay) * x


def image_normalise(image):
    mean = T([0.485, 0.456, 0.406, 0.4]).view(1, 4, 1, 1)
    std = T([0.229, 0.224, 0.225, 0.25]).view(1, 4, 1, 1)
    return (image - mean) / std


def adam(p, g, m, v):
    m = 0.9 * m + (1 - 0.9) * g
    v = 0.999 * v + (1 - 0.999) * g * g
    m_hat = m / (1 - 0.9**3)
    v_hat = v / (1 - 0.999**3)
    return p - 1e-3 * m_hat / (v_hat.sqrt() + 1e-8)


def huber(x, y):
    e = (x - y).abs()
    return torch.where(e < 1.0, 0.5 * e**2, e - 0.5).mean()


def hinge_and_mse(x, y):
    return torch.clamp(1 - x * torch.sign(y), min=0).mean() + ((x - y) ** 2).mean()


def triplet_squared(a, p, n):
    return F.relu((a - p).pow(2).sum(1) - (a - n).pow(2).sum(1) + 0.25).mean()


def group_norm(image):
    x = image.view(2, 2, -1)
    mean = x.mean(-1, keepdim=True)
    var = x.var(-1, unbiased=False, keepdim=True)
    return ((x - mean) / (var + 1e-5).sqrt()).view(2, 4, 3, 3)


def squeeze_excite(image):
    s = torch.sigmoid(F.relu(image.mean((2, 3)))[:, :, None, None])
    return image * s


def polynomial_features(x):
    return torch.cat([x, x**2, x**3, x[:, :1] * x[:, 1:2]], dim=1)


def bilinear(tl, tr, bl, br):
    dx, dy = 0.25, 0.75
    top = tl * (1 - dx) + tr * dx
    bottom = bl * (1 - dx) + br * dx
    return top * (1 - dy) + bottom * dy


def quaternion_product(p, q):
    a, b, c, d = p.unbind(-1)
    e, f, g, h = q.unbind(-1)
    return torch.stack(
        (
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ),
        -1,
    )


def giou(a, b):
    lt, rb = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    wh = (rb - lt).clamp(min=0)
    inter = wh[:, 0] * wh[:, 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a + area_b - inter
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    hull = hull[:, 0] * hull[:, 1]
    return inter / union - (hull - union) / hull


ALONE = {
    "two-sum": (two_sum, [A, B]),
    "fast two-sum": (lambda a, b: torch.stack(fast_two_sum(a, b)), [A, B]),
    "Dekker split": (lambda a: torch.cat(split(a)), [A]),
    "two-product": (two_product, [A, B]),
    "error of a product": (product_error, [A, C]),
    "Kahan's sum": (kahan, [X * T([1e6, 1.0, 1e-6, 1e3])]),
    "Neumaier's sum": (neumaier, [X * T([1e6, 1.0, 1e-6, 1e3])]),
    "compensated dot": (compensated_dot, [X, Y * 1e4]),
    "double-double add": (double_double_add, [A, A * 1e-9, B, B * 1e-9]),
    "double-double difference": (double_double_difference, [A, A * 1e-9, A * 1.0000001, B * 1e-9]),
    "Kahan's optimiser step": (lambda w, b, u: torch.stack(kahan_optimiser(w, b, u)), [A, A * 1e-9, C * 1e-5]),
    "residue of two bf16 parts": (bf16_residual, [A]),
    "Kahan's log1p": (kahan_log1p, [T([1e-9, 1e-4, -0.3, 2.0])]),
    "Kahan's expm1": (kahan_expm1, [T([1e-9, 1e-4, -0.3, 2.0])]),
    "Kahan's determinant": (kahan_determinant, [A, B, C, C + 1]),
    "round by a magic number": (magic_round, [WHOLE]),
    "round to a grid by a magic number": (magic_round_to_grid, [WHOLE]),
    "Cody-Waite reduction": (cody_waite, [WHOLE]),
    "straight-through round": (ste_round, [WHOLE]),
    "straight-through step": (ste_binarise, [WHOLE]),
    "straight-through Gumbel softmax": (hard_gumbel, [X, Y]),
    "vector quantisation": (vector_quantise, [X, Y]),
    "fake quantisation": (fake_quant, [X]),
    "fake quantisation, affine": (fake_quant_affine, [X]),
    "stochastic rounding": (stochastic_round, [WHOLE, T([0.1, 0.9, 0.5, 0.3, 0.7, 0.2])]),
    "epsilon of the machine": (epsilon_probe, [torch.ones(3)]),
    "unit roundoff": (unit_roundoff, [T([1e-7, 5e-8, 1e-8, 3e-6])]),
    "absorbed step": (absorbed, [A, B * 1e-9]),
    "error of rounding": (dithering_error, [WHOLE]),
    "error of a cast": (cast_error, [WHOLE]),
    "error of a Pade approximant": (pade_error, [WHOLE.clamp(-3, 3)]),
    "Newton residual of rsqrt": (newton_residual, [WHOLE.abs()]),
    "Newton step of a reciprocal": (refined_reciprocal, [C]),
    "residual of a linear system": (residual_refinement, [Y[:, :3], X[:, 0], X[:, 1]]),
    "softmax with its maximum": (stable_softmax, [X * 100]),
    "log-sum-exp with its maximum": (stable_logsumexp, [X * 100]),
    "BCE with logits by hand": (stable_bce, [X[0] * 50, SIGNS]),
    "softplus by hand, stable": (stable_softplus, [X * 50]),
    "logaddexp by hand, stable": (stable_logaddexp, [X * 50, Y * 50]),
    "variance in two passes": (two_pass_variance, [X + 1000]),
    "Welford": (welford, [X + 1000]),
    "scaled norm": (scaled_norm, [X * 1e25]),
    "double where": (where_done_right, [WHOLE]),
    "attention with a mask": (masked_attention, [X, Y, X, KEEP]),
    "online softmax": (online_softmax, [X * 100]),
    "nan dropped": (drop_nan, [HOLES]),
    "finite by x - x": (finite_mask, [HOLES]),
    "nan kept by a product with 0": (poisoned, [HOLES]),
    "overflow asked for": (overflow_flag, [T([10.0, 100.0, -100.0])]),
    "log of zero cut off": (log_zero, [T([0.0, 0.25, 1.0])]),
    "RMSNorm": (RMSNorm(), [X]),
    "LayerNorm by hand": (LayerNormByHand(), [X]),
    "GELU, tanh": (gelu_tanh, [X]),
    "SwiGLU": (swiglu, [X, Y]),
    "RoPE": (rope, [X]),
    "gated sum": (gated_sum, [UNIT, X[:2], Y[:2]]),
    "moving average": (ema, [X, Y]),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.3), [X, Y]),
    "mixup": (lambda x: 0.3 * x + 0.7 * x.flip(0), [X]),
    "image normalisation": (image_normalise, [IMAGE]),
    "Adam": (adam, [X, Y, X * 0.1, Y**2]),
    "Huber": (huber, [X, Y]),
    "hinge and MSE": (hinge_and_mse, [X, Y]),
    "triplet of squares": (triplet_squared, [X, Y, X.flip(0)]),
    "GroupNorm by hand": (group_norm, [IMAGE]),
    "squeeze and excite": (squeeze_excite, [IMAGE]),
    "polynomial features": (polynomial_features, [X]),
    "bilinear blend": (bilinear, [X, Y, X.flip(0), Y.flip(1)]),
    "quaternion product": (quaternion_product, [X, Y]),
    "GIoU": (giou, [BOXES, BOXES2]),
}
