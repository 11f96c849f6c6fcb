"""What people write on purpose and must be left as it is, from many fields: second part."""

import math

import torch
from torch.nn import functional as F

X = torch.tensor([[0.6, -1.1, 2.5], [1.5, 0.4, -0.3], [0.25, 1.3, 0.9]])
Y = torch.tensor([[0.4, 1.5, -0.75], [2.5, 0.2, 1.9], [-1.2, 0.3, 1.1]])
P = torch.tensor([[0.1, 0.4, 0.5], [0.0, 0.3, 0.7], [1.0, 0.0, 0.0]])


def two_diff(a, b):
    d = a - b
    z = d - a
    return d, (a - (d - z)) - (b + z)


def kbn(x):
    s, c = x[0], x[0] * 0
    for i in (1, 2):
        t = s + x[i]
        c = c + torch.where(s.abs() >= x[i].abs(), (s - t) + x[i], (x[i] - t) + s)
        s = t
    return s + c


def split_fp16(x):
    hi = x.half()
    lo = (x - hi.float()).half()
    return hi, lo


def kahan_adam(p, c, d):
    u = d + c
    q = p + u
    return q, u + (p - q)


def round_half(x):
    return (x * 256 + 0.5).floor() / 256


def nf_scale(x):
    s = torch.exp2(torch.floor(torch.log2(x.abs().amax() / 6.0)))
    return torch.round(x / s) * s


def reinmax(x):
    p = F.softmax(x, -1)
    d = F.one_hot(p.argmax(-1), 3).float()
    q = (d + p) / 2
    q = F.softmax((torch.log(q) - x).detach() + x, -1)
    return 2 * q - p / 2 + (d - (2 * q - p / 2)).detach()


def baseline(x):
    return (x - x.mean().detach()) * x.sigmoid().detach()


def loo(x):
    return x - (x.sum(0, keepdim=True) - x) / 2


def stop_ratio(x):
    return x / x.detach()


def smooth_step(x):
    return x * x * (3 - 2 * x)


def guarded_norm(x):
    return torch.sqrt(torch.clamp((x * x).sum(-1), min=1e-12))


def safe_where(x):
    ok = x > 0
    return torch.where(ok, torch.where(ok, x, torch.ones_like(x)).log(), torch.zeros_like(x))


def safe_div(x, y):
    ok = y != 0
    return torch.where(ok, x / torch.where(ok, y, 1.0), 0.0)


def lse_guarded(x):
    m = x.amax(-1, keepdim=True)
    m = torch.where(torch.isfinite(m), m, 0.0)
    return torch.log(torch.exp(x - m).sum(-1)) + m.squeeze(-1)


def chan(na, ma, sa, nb, mb, sb):
    d = mb - ma
    return ma + d * nb / (na + nb), sa + sb + d * d * na * nb / (na + nb)


def horner(x):
    return 1 + x * (1 + x * (0.5 + x / 6))


def complement(p):
    return 1 - p


def dropout_scale(x, p):
    return x / (1 - 0.1) * (p > 0.1)


def heun(x):
    k1 = torch.sin(x)
    return x + 0.05 * (k1 + torch.sin(x + 0.1 * k1))


def second_difference(x):
    return x[2] - 2 * x[1] + x[0]


def laplacian(x):
    return torch.roll(x, 1, 0) + torch.roll(x, -1, 0) - 2 * x


def gradient_reversal(x):
    return 2 * x.detach() - x


def qlora(x):
    return (x.bfloat16() + Y.bfloat16()).float()


def trunc_bits(x):
    big = x + 2.0**20
    return big - 2.0**20


def log_of_signed_ratio(x, y):
    return torch.log(x / y)


def root_square(x):
    return (x**0.5).square()


def infinity_check(x):
    return torch.isnan(x - x)


def gelu(x):
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def logit_temperature(x):
    return F.log_softmax(x / 0.5, -1).exp()


MORE_LEFT_BY_FIELDS = {
    f.__name__: (f, a)
    for f, a in [
        (two_diff, (X, Y)),
        (kbn, (X,)),
        (split_fp16, (X,)),
        (kahan_adam, (X, Y * 1e-7, Y)),
        (round_half, (X,)),
        (nf_scale, (X,)),
        (reinmax, (X,)),
        (baseline, (X,)),
        (loo, (X,)),
        (stop_ratio, (X,)),
        (smooth_step, (X,)),
        (guarded_norm, (X,)),
        (safe_where, (X,)),
        (safe_div, (X, Y)),
        (lse_guarded, (X,)),
        (chan, (X, Y, P, X, P, Y)),
        (horner, (X,)),
        (complement, (P,)),
        (dropout_scale, (X, P)),
        (heun, (X,)),
        (second_difference, (X,)),
        (laplacian, (X,)),
        (gradient_reversal, (X,)),
        (qlora, (X,)),
        (trunc_bits, (X,)),
        (log_of_signed_ratio, (X, Y)),
        (root_square, (X,)),
        (infinity_check, (X,)),
        (gelu, (X,)),
        (logit_temperature, (X,)),
    ]
}
