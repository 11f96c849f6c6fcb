"""What people write on purpose and must be left as it is, from many fields: first part."""

import math

import torch
from torch.nn import functional as F

X = torch.tensor([[0.4, -1.5, 2.25], [3.5, 0.2, -0.8], [1.25, 0.3, 0.6]])
Y = torch.tensor([[1.4, 0.5, -0.25], [0.5, 1.2, 0.9], [-0.2, 2.3, 0.1]])
P = torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.4, 0.6], [1.0, 0.0, 0.0]])
V = torch.tensor([3.0, 1e-8, -2.5, 1e5, 0.1])
N = torch.tensor([5, 12, 7, 1023])


def two_sum(a, b):
    s = a + b
    bb = s - a
    return s, (a - (s - bb)) + (b - bb)


def two_prod(a, b):
    f = 4097.0
    t = f * a
    ah = t - (t - a)
    al = a - ah
    t = f * b
    bh = t - (t - b)
    bl = b - bh
    p = a * b
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def kahan(x):
    s = c = torch.zeros(())
    for i in range(x.shape[0]):
        y = x[i] - c
        t = s + y
        c = (t - s) - y
        s = t
    return s


def kahan_step_optimizer(p, comp, upd):
    y = upd - comp
    new = p + y
    comp = (new - p) - y
    return new, comp


def dd_add(ah, al, bh, bl):
    s, e = two_sum(ah, bh)
    e = e + al + bl
    hi = s + e
    return hi, e - (hi - s)


def dd_mul(ah, al, bh, bl):
    p, e = two_prod(ah, bh)
    e = e + ah * bl + al * bh
    hi = p + e
    return hi, (p - hi) + e


def dot2(a, b):
    s, c = two_prod(a[0], b[0])
    for i in range(1, 3):
        p, pe = two_prod(a[i], b[i])
        s, se = two_sum(s, p)
        c = c + (pe + se)
    return s + c


def magic_round(x):
    m = 1.5 * 2**23
    return (x + m) - m


def eps_of(x):
    return ((x * 0 + 4.0 / 3 - 1) * 3) - 1


def ste(x):
    return x + (torch.round(x) - x).detach()


def ste_sub(x):
    return x - (x - x.sign()).detach()


def ste_clip(x):
    return x.detach().clamp(-1, 1) + x - x.detach()


def magic_box(lp):
    return torch.exp(lp - lp.detach())


def surrogate(lp, a):
    return (torch.exp(lp - lp.detach()) * a).mean()


def gumbel_hard(x):
    soft = x.softmax(-1)
    hard = F.one_hot(soft.argmax(-1), 3).to(soft.dtype)
    return hard - soft.detach() + soft


def safe_softmax(x):
    m = x.amax(-1, keepdim=True).detach()
    e = (x - m).exp()
    return e / e.sum(-1, keepdim=True)


def hand_lse(x):
    m = x.max(-1, keepdim=True).values
    return m.squeeze(-1) + (x - m).exp().sum(-1).log()


def online(x):
    m, total = x[:, 0], torch.ones(3)
    for j in (1, 2):
        new = torch.maximum(m, x[:, j])
        total = total * torch.exp(m - new) + torch.exp(x[:, j] - new)
        m = new
    return torch.exp(x - m[:, None]) / total[:, None]


def stable_softplus(x):
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


def threshold_softplus(x):
    return torch.where(x > 20, x, torch.log1p(torch.exp(x.clamp(max=20))))


def stable_bce(x, y):
    return x.clamp_min(0) - x * y + torch.log1p((-x.abs()).exp())


def sign_sigmoid(x):
    z = torch.exp(-x.abs())
    return torch.where(x >= 0, 1 / (1 + z), z / (1 + z))


def kl_guarded(p, q):
    return (p * ((p + 1e-8).log() - (q + 1e-8).log())).sum(-1)


def entropy_clamped(p):
    return -(p * p.clamp_min(1e-12).log()).sum(-1)


def dice(p, y):
    return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)


def welford(x):
    mean, m2 = x[0] * 0, x[0] * 0
    for i in range(3):
        d = x[i] - mean
        mean = mean + d / (i + 1)
        m2 = m2 + d * (x[i] - mean)
    return m2 / 2


def two_pass(x):
    d = x - x.mean(-1, keepdim=True)
    return (d * d).mean(-1)


def corrected_two_pass(x):
    d = x - x.mean(-1, keepdim=True)
    return ((d * d).sum(-1) - d.sum(-1) ** 2 / 3) / 2


def rms(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def cody_waite(x):
    k = torch.round(x / (math.pi / 2))
    return torch.sin((x - k * 1.5707963109016418) - k * 1.5893254712295857e-8)


def wrap(x):
    return x - 2 * math.pi * torch.round(x / (2 * math.pi))


def frac(x):
    return x - torch.floor(x)


def fake_quant(x):
    s = x.abs().amax() / 127
    return torch.clamp(torch.round(x / s), -128, 127) * s


def error_feedback(x, e):
    g = x + e
    q = g.bfloat16().float()
    return q, g - q


def split_bf16(x):
    hi = x.to(torch.bfloat16).to(torch.float32)
    mid = (x - hi).to(torch.bfloat16).to(torch.float32)
    return hi, mid, x - hi - mid


def finite_test(x):
    return (x - x) == 0


def nan_keeper(x, y):
    return y + 0 * x


def exponent(x):
    return torch.floor(torch.log2(x.abs()))


def central_difference(x):
    h = 1e-2
    return (torch.sin(x + h) - torch.sin(x - h)) / (2 * h)


def newton_rsqrt(x):
    y = torch.rsqrt(x.abs() + 1)
    return y * (1.5 - 0.5 * (x.abs() + 1) * y * y)


def newton_div(x):
    a = x.abs() + 1
    r = 1 / a
    return r + r * (1 - a * r)


def log1p_kahan(x):
    u = 1 + x
    return torch.where(u == 1, x, torch.log(u) * x / (u - 1))


def root_refined(x):
    s = torch.sqrt(x)
    return s - (s * s - x) / (2 * s)


def ulp_noise(x):
    return (x + 1e4) - 1e4


def low_bits(n):
    return n & -n


def mean_int(a, b):
    return (a & b) + ((a ^ b) >> 1)


def hashed(n):
    return (n * 2654435761) % 4294967296


def sterbenz_scaled(x):
    big = x * 4097.0
    return big - (big - x)


def lerp_exact(a, b, t):
    return (1 - t) * a + t * b


def ema(m, g):
    return m * 0.99 + g * (1 - 0.99)


def log_product_of_signed(a, b):
    return torch.log(a * b)


def root_of_product(a, b):
    return torch.sqrt(a * b)


def squared_root(x):
    return torch.sqrt(x) ** 2


def sign_by_division(x):
    return x / x.abs()


def stochastic_round(x, u):
    f = torch.floor(x)
    return f + (u < x - f).float()


def pairwise(x):
    return (x[0] + x[1]) + x[2]


def richardson(a, b):
    return (4 * b - a) / 3


def aitken(a, b, c):
    return c - (c - b) ** 2 / ((c - b) - (b - a))


def huber(x):
    a = x.abs()
    return torch.where(a < 1, 0.5 * x * x, a - 0.5)


def causal_minus_1e9(x):
    return torch.softmax(x + torch.triu(torch.full((3, 3), -1e9), 1), -1)


def clipped_ratio(new, old):
    r = torch.exp((new - old).clamp(-20, 20))
    return torch.minimum(r, r.clamp(0.8, 1.2))


LEFT_BY_FIELDS = {
    "two sum": (two_sum, (X, Y)),
    "two product": (two_prod, (X, Y)),
    "Kahan": (kahan, (V,)),
    "Kahan step": (kahan_step_optimizer, (X, Y * 1e-6, Y)),
    "double-double sum": (dd_add, (X, X * 1e-8, Y, Y * 1e-8)),
    "double-double product": (dd_mul, (X, X * 1e-8, Y, Y * 1e-8)),
    "dot2": (dot2, (X, Y)),
    "magic round": (magic_round, (X,)),
    "machine epsilon": (eps_of, (X,)),
    "straight through": (ste, (X,)),
    "straight through sign": (ste_sub, (X,)),
    "straight through clip": (ste_clip, (X,)),
    "magic box": (magic_box, (X,)),
    "surrogate": (surrogate, (X, Y)),
    "Gumbel hard": (gumbel_hard, (X,)),
    "safe softmax": (safe_softmax, (X,)),
    "logsumexp by hand": (hand_lse, (X,)),
    "online softmax": (online, (X,)),
    "stable softplus": (stable_softplus, (X,)),
    "softplus with threshold": (threshold_softplus, (X,)),
    "stable bce": (stable_bce, (X, P)),
    "sigmoid by sign": (sign_sigmoid, (X,)),
    "guarded KL": (kl_guarded, (P, P.flip(0))),
    "entropy clamped": (entropy_clamped, (P,)),
    "Dice": (dice, (P, P)),
    "Welford": (welford, (X,)),
    "two pass": (two_pass, (X,)),
    "corrected two pass": (corrected_two_pass, (X,)),
    "RMS norm": (rms, (X,)),
    "Cody-Waite": (cody_waite, (X,)),
    "wrap": (wrap, (X,)),
    "fraction": (frac, (X,)),
    "fake quantisation": (fake_quant, (X,)),
    "error feedback": (error_feedback, (X, Y)),
    "bf16 split": (split_bf16, (X,)),
    "finite?": (finite_test, (X,)),
    "NaN keeper": (nan_keeper, (X, Y)),
    "exponent": (exponent, (X,)),
    "central difference": (central_difference, (X,)),
    "Newton rsqrt": (newton_rsqrt, (X,)),
    "Newton reciprocal": (newton_div, (X,)),
    "log1p by Kahan": (log1p_kahan, (P,)),
    "refined root": (root_refined, (P + 0.1,)),
    "snap to a grid": (ulp_noise, (X,)),
    "lowest bit": (low_bits, (N,)),
    "mean of integers": (mean_int, (N, N + 3)),
    "hash": (hashed, (N,)),
    "Veltkamp": (sterbenz_scaled, (X,)),
    "lerp": (lerp_exact, (X, Y, P)),
    "EMA": (ema, (X, Y)),
    "log of a signed product": (log_product_of_signed, (X, Y)),
    "root of a product": (root_of_product, (X, Y)),
    "square of a root": (squared_root, (X,)),
    "sign by division": (sign_by_division, (X,)),
    "stochastic rounding": (stochastic_round, (X, P)),
    "pairwise": (pairwise, (X,)),
    "Richardson": (richardson, (X, Y)),
    "Aitken": (aitken, (X, Y, P)),
    "Huber": (huber, (X,)),
    "causal -1e9": (causal_minus_1e9, (X,)),
    "clipped ratio": (clipped_ratio, (X, Y)),
    "softplus of torch": (F.softplus, (X,)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), (X,)),
    "hypot": (torch.hypot, (X, Y)),
    "normalize": (lambda x: F.normalize(x, dim=-1), (X,)),
    "root with eps": (lambda x: torch.sqrt(x * x + 1e-12), (X,)),
    "log with eps": (lambda p: torch.log(p + 1e-7), (P,)),
    "division with eps": (lambda x: x / (x.norm(dim=-1, keepdim=True) + 1e-6), (X,)),
    "clamped acos": (lambda x: torch.acos(x.clamp(-0.999, 0.999)), (X,)),
    "logit with eps": (lambda p: torch.log(p.clamp(1e-6, 1 - 1e-6) / (1 - p.clamp(1e-6, 1 - 1e-6))), (P,)),
    "weighted mean": (lambda x, p: (x * p).sum() / p.sum(), (X, P)),
}
