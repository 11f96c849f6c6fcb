"""More of what is to stay as it is written, by the hand of ``unseen_families_left``: layers, losses, optimizers."""

import math

import torch
import torch.nn.functional as F

from tests.backend.stability.collected import Left

ALONE = stays = Left(5)
n, u = stays.n, stays.u

X, Y = n(4, 6), n(4, 6)
CL = torch.tensor([1, 0, 5, 2])
T = (u(4, 6) > 0.5).float()


@stays("SiLU by hand", X)
def _(x):
    return x * torch.sigmoid(x)


@stays("GLU by hand", X)
def _(x):
    a, b = x.chunk(2, -1)
    return a * torch.sigmoid(b)


@stays("mingru parallel gate", X, Y, n(4, 6))
def _(z, h, prev):
    z = torch.sigmoid(z)
    return torch.lerp(prev, h, z)


@stays("peephole coupled gates", X, Y, n(4, 6))
def _(f, c, prev):
    f = torch.sigmoid(f)
    return f * prev + (1 - f) * torch.tanh(c)


@stays("attention gate between streams", X, Y, n(4, 1))
def _(a, b, s):
    g = torch.sigmoid(s)
    return g * a + (1.0 - g) * b


@stays("EMA by learned decay", X, Y, n(6))
def _(x, prev, w):
    decay = torch.sigmoid(w)
    return decay * prev + (1 - decay) * x


@stays("label smoothing by cross-entropy", X, CL)
def _(x, y):
    return F.cross_entropy(x, y, label_smoothing=0.1)


@stays("label smoothing by log_softmax", X, CL)
def _(x, y):
    lp = F.log_softmax(x, -1)
    return (-0.9 * lp.gather(1, y[:, None]).squeeze(1) - 0.1 * lp.mean(-1)).mean()


@stays("knowledge distillation, detached teacher", X, Y)
def _(s, t):
    return F.kl_div(F.log_softmax(s / 2, -1), F.softmax(t.detach() / 2, -1), reduction="batchmean") * 4


@stays("KL by log_target", X, Y)
def _(s, t):
    return F.kl_div(F.log_softmax(s, -1), F.log_softmax(t, -1), reduction="batchmean", log_target=True)


@stays("JS by log-softmax", X, Y)
def _(a, b):
    la, lb = F.log_softmax(a, -1), F.log_softmax(b, -1)
    lm = torch.logaddexp(la, lb) - math.log(2)
    return 0.5 * ((la.exp() * (la - lm)).sum(-1) + (lb.exp() * (lb - lm)).sum(-1)).mean()


@stays("entropy bonus of categorical", X)
def _(x):
    lp = x - x.logsumexp(-1, keepdim=True)
    p = F.softmax(x, -1)
    return -(lp * p).sum(-1)


@stays("gaussian NLL", X, Y, n(4, 6))
def _(m, y, lv):
    return 0.5 * (lv + (y - m) ** 2 / lv.exp()).mean()


@stays("beta-VAE", X, Y)
def _(m, lv):
    return -0.5 * (1 + lv - m.pow(2) - lv.exp()).sum(1).mean()


@stays("reparametrised draw", X, Y, n(4, 6))
def _(m, lv, e):
    return m + torch.exp(0.5 * lv) * e


@stays("normal log_prob", X, Y, n(4, 6))
def _(x, m, ls):
    return -((x - m) ** 2) / (2 * torch.exp(ls) ** 2) - ls - 0.5 * math.log(2 * math.pi)


@stays("diag gaussian KL", X, Y, n(4, 6), n(4, 6))
def _(m1, l1, m2, l2):
    return (l2 - l1 + (torch.exp(2 * l1) + (m1 - m2) ** 2) / (2 * torch.exp(2 * l2)) - 0.5).sum(-1)


@stays("IoU loss", u(4, 4), u(4, 4))
def _(a, b):
    lt = torch.max(a[:, :2], b[:, :2])
    rb = torch.min(a[:, 2:] + 1, b[:, 2:] + 1)
    wh = (rb - lt).clamp(min=0)
    inter = wh[:, 0] * wh[:, 1]
    area_a, area_b = ((z[:, 2] + 1 - z[:, 0]) * (z[:, 3] + 1 - z[:, 1]) for z in (a, b))
    return 1 - inter / (area_a + area_b - inter + 1e-7)


@stays("jaccard loss", X, T)
def _(x, y):
    p = torch.sigmoid(x)
    i = (p * y).sum()
    return 1 - (i + 1e-6) / (p.sum() + y.sum() - i + 1e-6)


@stays("asymmetric loss", X, T)
def _(x, y):
    p = torch.sigmoid(x)
    pn = (1 - p + 0.05).clamp(max=1)
    loss = y * torch.log(p.clamp(min=1e-8)) + (1 - y) * torch.log(pn.clamp(min=1e-8))
    return -loss.sum()


@stays("quality focal loss", X, u(4, 6))
def _(x, q):
    p = x.sigmoid()
    return ((q - p).abs() ** 2 * F.binary_cross_entropy_with_logits(x, q, reduction="none")).sum()


@stays("poly-1 loss", X, CL)
def _(x, y):
    ce = F.cross_entropy(x, y, reduction="none")
    pt = F.softmax(x, -1).gather(1, y[:, None]).squeeze(1)
    return (ce + 1 - pt).mean()


@stays("triplet with margin", X, Y, n(4, 6))
def _(a, p, q):
    return F.relu((a - p).pow(2).sum(1) - (a - q).pow(2).sum(1) + 0.2).mean()


@stays("contrastive margin", X, Y, torch.tensor([0.0, 1.0, 1.0, 0.0]))
def _(a, b, y):
    d = F.pairwise_distance(a, b)
    return (y * d**2 + (1 - y) * F.relu(1 - d) ** 2).mean()


@stays("InfoNCE with normalised", X, Y)
def _(a, b):
    s = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / 0.1
    return F.cross_entropy(s, torch.arange(4))


@stays("NT-Xent exp form", X)
def _(z):
    z = F.normalize(z, dim=1)
    s = torch.exp(z @ z.T / 0.5) * (1 - torch.eye(4))
    p = torch.exp((z * z.roll(1, 0)).sum(-1) / 0.5)
    return -torch.log(p / s.sum(1)).mean()


@stays("DPO by logsigmoid", -u(4) * 9, -u(4) * 9, -u(4) * 9, -u(4) * 9)
def _(a, b, c, d):
    return -F.logsigmoid(0.1 * ((a - b) - (c - d))).mean()


@stays("REINFORCE with baseline", X, CL, n(4))
def _(x, a, r):
    lp = F.log_softmax(x, -1).gather(1, a[:, None]).squeeze(1)
    return -(lp * (r - r.mean())).mean()


@stays("GRPO ratio", -u(4, 6), -u(4, 6), n(4))
def _(new, old, adv):
    r = torch.exp(new - old)
    a = adv[:, None]
    return -torch.min(r * a, r.clamp(1 - 0.2, 1 + 0.2) * a).mean()


@stays("PPO by max, cleanrl", -u(8), -u(8), n(8))
def _(new, old, adv):
    ratio = (new - old).exp()
    l1 = -adv * ratio
    l2 = -adv * torch.clamp(ratio, 1 - 0.2, 1 + 0.2)
    return torch.max(l1, l2).mean()


@stays("PPO value clipping", n(8), n(8), n(8))
def _(v, old, ret):
    clipped = old + torch.clamp(v - old, -0.2, 0.2)
    return 0.5 * torch.max((v - ret) ** 2, (clipped - ret) ** 2).mean()


@stays("twin Q target", n(8), n(8), n(8), torch.zeros(8), -u(8))
def _(r, q1, q2, done, lp):
    return r + 0.99 * (1 - done) * (torch.min(q1, q2) - 0.2 * lp)


@stays("advantage normalised", n(8))
def _(a):
    return (a - a.mean()) / (a.std() + 1e-8)


@stays("RMSprop", n(6), n(6), u(6))
def _(w, gr, s):
    s = 0.99 * s + 0.01 * gr * gr
    return w - 1e-3 * gr / (s.sqrt() + 1e-8), s


@stays("AdamW with python step", n(6), n(6), n(6) * 0.1, u(6) * 0.01)
def _(w, gr, m, v):
    m = m * 0.9 + gr * 0.1
    v = v * 0.999 + gr * gr * 0.001
    return w * (1 - 1e-2) - 1e-3 * (m / (1 - 0.9**5)) / ((v / (1 - 0.999**5)).sqrt() + 1e-8)


@stays("Adam with capturable step", n(6), n(6), n(6) * 0.1, u(6) * 0.01, 3.0)
def _(w, gr, m, v, step):
    step = step + 1
    m = torch.lerp(m, gr, 0.1)
    v = v * 0.999 + 0.001 * gr * gr
    c1 = 1 - 0.9**step
    c2 = 1 - torch.pow(0.999, step)
    return w - (1e-3 / c1) * m / (v.sqrt() / c2.sqrt() + 1e-8)


@stays("Lion", n(6), n(6), n(6) * 0.1)
def _(w, gr, m):
    return w * (1 - 1e-4) - 1e-4 * torch.sign(m * 0.9 + gr * 0.1), m * 0.99 + gr * 0.01


@stays("LAMB trust ratio", n(6), n(6))
def _(w, up):
    r = w.norm() / (up.norm() + 1e-6)
    return w - 1e-3 * r.clamp(max=10) * up


@stays("SAM perturbation", n(6), n(6))
def _(w, gr):
    return w + 0.05 * gr / (gr.norm() + 1e-12)


@stays("weight standardisation", n(4, 3, 2, 2))
def _(w):
    m = w.mean((1, 2, 3), keepdim=True)
    s = w.std((1, 2, 3), keepdim=True) + 1e-5
    return (w - m) / s


@stays("spectral norm power step", n(4, 6), n(4))
def _(w, a):
    v = F.normalize(w.t() @ a, dim=0, eps=1e-12)
    a = F.normalize(w @ v, dim=0, eps=1e-12)
    return w / (a @ (w @ v))


@stays("weight norm", n(4, 6), n(4, 1))
def _(v, s):
    return s * v / v.norm(dim=1, keepdim=True)


@stays("instance norm by hand", n(2, 3, 4, 4))
def _(x):
    m = x.mean((2, 3), keepdim=True)
    v = x.var((2, 3), unbiased=False, keepdim=True)
    return (x - m) / (v + 1e-5).sqrt()


@stays("ada-IN", n(2, 3, 8), n(2, 3, 8))
def _(c, s):
    return (c - c.mean(-1, keepdim=True)) / (c.std(-1, keepdim=True) + 1e-5) * s.std(-1, keepdim=True) + s.mean(
        -1, keepdim=True
    )


@stays("pixel norm", n(2, 6))
def _(x):
    return x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8)


@stays("adaLN modulation", X, Y, n(4, 6))
def _(x, shift, scale):
    return F.layer_norm(x, (6,)) * (1 + scale) + shift


@stays("layer scale residual", X, Y, n(6))
def _(x, y, s):
    return x + s * y


@stays("ALiBi", n(2, 5, 5))
def _(s):
    d = torch.arange(5)[None] - torch.arange(5)[:, None]
    return F.softmax(s + d * 0.25, -1)


@stays("softcapped logits", X)
def _(x):
    return 30 * torch.tanh(x / 30)


@stays("attention sink softmax", n(2, 5, 6))
def _(s):
    m = s.amax(-1, keepdim=True).clamp(min=0)
    e = torch.exp(s - m)
    return e / (e.sum(-1, keepdim=True) + torch.exp(-m))


@stays("online softmax merge", n(4), n(4), u(4) + 1, u(4) + 1)
def _(m1, m2, l1, l2):
    m = torch.maximum(m1, m2)
    return m, torch.exp(m1 - m) * l1 + torch.exp(m2 - m) * l2


@stays("mamba selective step", n(4, 6), n(4, 6), n(6), n(4, 6))
def _(h, x, a, dt):
    dt = F.softplus(dt)
    return torch.exp(-dt * a.exp()) * h + dt * x


@stays("RWKV-like decay", n(4, 6), n(4, 6), n(6))
def _(s, kv, w):
    return s * torch.exp(-torch.exp(w)) + kv


@stays("diffusion: v target", X, Y, u(4, 1))
def _(x, e, t):
    return torch.cos(t * math.pi / 2) * e - torch.sin(t * math.pi / 2) * x


@stays("rectified flow", X, Y, u(4, 1))
def _(x, e, t):
    return (1 - t) * x + t * e, e - x


@stays("min-SNR weight", u(4) * 9)
def _(snr):
    return torch.clamp(snr, max=5.0) / snr


@stays("cosine beta schedule", torch.arange(5.0))
def _(t):
    f = torch.cos((t / 10 + 0.008) / 1.008 * math.pi / 2) ** 2
    return f / f[0]


@stays("classifier-free guidance", X, Y)
def _(c, un):
    return un + 7.5 * (c - un)


@stays("MSE by hand", X, Y)
def _(a, b):
    return ((a - b) ** 2).mean()


@stays("huber by where", X, Y)
def _(a, b):
    d = (a - b).abs()
    return torch.where(d < 1, 0.5 * d * d, d - 0.5).mean()


@stays("log-cosh, stable", X, Y)
def _(a, b):
    d = a - b
    return (d + F.softplus(-2 * d) - math.log(2)).mean()


@stays("R2 score", X, Y)
def _(p, y):
    return 1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum()


@stays("pearson", n(8), n(8))
def _(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.norm() * b.norm() + 1e-8)


@stays("MoE load balance", X)
def _(x):
    p = F.softmax(x, -1)
    top = F.one_hot(p.argmax(-1), 6).float()
    return 6 * (p.mean(0) * top.mean(0)).sum()


@stays("router z-loss", X)
def _(x):
    return torch.logsumexp(x, -1).pow(2).mean()


@stays("Sinkhorn in log space", n(4, 4))
def _(x):
    for _ in range(3):
        x = x - torch.logsumexp(x, 1, keepdim=True)
        x = x - torch.logsumexp(x, 0, keepdim=True)
    return x.exp()


@stays("CRF forward, stable", n(5, 3), n(3, 3))
def _(e, t):
    a = e[0]
    for i in range(1, 5):
        a = torch.logsumexp(a[:, None] + t, 0) + e[i]
    return torch.logsumexp(a, 0)


@stays("dropout by hand", X, (u(4, 6) > 0.1).float())
def _(x, m):
    return x * m / 0.9


@stays("NeRF transmittance", u(4, 6), u(4, 6))
def _(s, d):
    return torch.exp(-torch.cumsum(s * d, -1))


@stays("alpha compositing", u(4, 6), n(4, 6))
def _(a, c):
    t = torch.cumprod(1 - a + 1e-10, -1)
    return (a * t * c).sum(-1)


@stays("total variation", n(2, 3, 5, 5))
def _(x):
    return (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()


@stays("soft top-k mask", X)
def _(x):
    m = torch.sigmoid((x - x.mean(-1, keepdim=True)) * 5)
    return m * x


@stays("hard concrete gate", u(6) * 0.9 + 0.05, n(6))
def _(r, la):
    s = torch.sigmoid((torch.log(r) - torch.log(1 - r) + la) / 0.66)
    return (s * 1.2 - 0.1).clamp(0, 1)


@stays("TransE", X, Y, n(4, 6))
def _(h, r, t):
    return torch.norm(h + r - t, p=1, dim=-1)


@stays("phase wrap", X)
def _(x):
    return torch.atan2(torch.sin(x), torch.cos(x))
