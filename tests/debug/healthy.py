"""Programs full of infinities that are there on purpose: none of them may stop."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import tessera

PROGRAMS = {}
INF = float("inf")


def program(function):
    PROGRAMS[function.__name__] = function
    return function


def causal(n):
    return torch.ones(n, n, dtype=torch.bool).triu(1)


@program
def causal_mask_and_softmax():
    x = torch.randn(4, 4, requires_grad=True)
    torch.softmax(x.masked_fill(causal(4), -INF), -1).square().sum().backward()


@program
def additive_mask():
    mask = torch.zeros(4, 4).masked_fill(causal(4), -INF)
    x = torch.randn(4, 4, requires_grad=True)
    ((x @ x.T) / 2 + mask).softmax(-1).sum().backward()


@program
def mask_by_triu_of_full():
    mask = torch.triu(torch.full((4, 4), -INF), diagonal=1)
    return torch.log_softmax(torch.randn(4, 4) + mask, -1).exp()


@program
def finfo_minimum():
    low = torch.finfo(torch.float32).min
    mask = causal(4).float() * low
    return torch.softmax(torch.randn(4, 4) + mask, -1)


@program
def two_masks_of_finfo_minimum():
    low = torch.finfo(torch.float32).min
    a, b = causal(4).float() * low, torch.full((4, 4), low)
    b[:, 0] = 0
    return torch.softmax(torch.randn(4, 4) + (a + b), -1)


@program
def finfo_minimum_in_half_precision():
    low = torch.finfo(torch.float16).min
    mask = torch.zeros(4, 4, dtype=torch.float16).masked_fill(causal(4), low)
    return (torch.randn(4, 4).half() + mask - 1000).softmax(-1)


@program
def finfo_minimum_cast_down():
    mask = torch.full((3,), torch.finfo(torch.float32).min)
    return mask.half()


@program
def where_with_infinity():
    x = torch.randn(5, requires_grad=True)
    torch.where(x > 0, x, torch.tensor(-INF)).exp().sum().backward()


@program
def running_maximum():
    best = torch.full((3,), -INF)
    for _ in range(3):
        new = torch.maximum(best, torch.randn(3))
        scale = torch.exp(best - new)
        best = new
    return scale


@program
def running_minimum():
    best = torch.tensor(INF)
    for _ in range(3):
        best = torch.minimum(best, torch.rand(()))
    return best


@program
def logsumexp_of_a_masked_row():
    x = torch.full((2, 3), -INF)
    x[0] = 1.0
    return x.logsumexp(-1)


@program
def logaddexp_from_minus_infinity():
    total = torch.tensor(-INF)
    for _ in range(4):
        total = torch.logaddexp(total, torch.randn(()))
    return total


@program
def top_k_filter():
    logits = torch.randn(2, 10)
    limit = logits.topk(3).values[:, -1:]
    logits[logits < limit] = -INF
    return torch.multinomial(logits.softmax(-1), 1)


@program
def index_put_of_infinity():
    x = torch.randn(4)
    x[torch.tensor([0, 2])] = -INF
    return x.amax()


@program
def padding_with_minus_infinity():
    x = F.pad(torch.randn(2, 3), (1, 1), value=-INF)
    return F.max_pool1d(x[None], 3)


@program
def infinities_as_distances():
    d = torch.full((4, 4), INF)
    d.fill_diagonal_(0)
    d[0, 1] = 1.0
    for k in range(4):
        d = torch.minimum(d, d[:, k : k + 1] + d[k : k + 1])
    return d


@program
def reciprocal_of_infinity():
    return 1 / torch.tensor([INF, -INF])


@program
def nan_as_missing_value():
    x = torch.tensor([1.0, math.nan, 3.0])
    missing = x.isnan()
    return torch.where(missing, torch.zeros(3), x).sum() / (~missing).sum()


@program
def nan_mean_of_missing_values():
    return torch.nanmean(torch.tensor([1.0, math.nan]) * 2)


@program
def nan_to_num_of_missing_values():
    return torch.nan_to_num(torch.tensor([math.nan, INF]))


@program
def clamp_by_infinity():
    return torch.randn(3).clamp(min=-INF, max=INF)


@program
def attention_with_a_mask():
    q = torch.randn(1, 2, 4, 8, requires_grad=True)
    mask = torch.zeros(4, 4).masked_fill(causal(4), -INF)
    F.scaled_dot_product_attention(q, q, q, attn_mask=mask).sum().backward()


@program
def causal_attention():
    q = torch.randn(1, 2, 4, 8, requires_grad=True)
    F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()


@program
def norm_of_zero():
    w = torch.zeros(3, requires_grad=True)
    (w.norm() * 2).backward()


@program
def norm_of_zero_as_the_loss():
    w = torch.zeros(3, requires_grad=True)
    w.norm().backward()


@program
def norms_of_rows():
    w = torch.zeros(3, 4, requires_grad=True)
    w.norm(dim=-1).mean().backward()


@program
def vector_norms():
    w = torch.zeros(3, 4, requires_grad=True)
    torch.linalg.vector_norm(w, dim=-1).mean().backward()


@program
def distance_of_equal_points():
    w = torch.ones(3, 4, requires_grad=True)
    torch.cdist(w, w).sum().backward()


@program
def product_with_a_zero():
    w = torch.tensor([0.0, 2.0, 3.0], requires_grad=True)
    w.prod().backward()


@program
def products_along_rows():
    w = torch.tensor([[0.0, 2.0], [0.0, 0.0]], requires_grad=True)
    w.prod(1).sum().backward()
    w.cumprod(1).sum().backward()


@program
def std_of_equal_values():
    w = torch.ones(4, requires_grad=True)
    w.std().backward()


@program
def cosine_of_zero():
    w = torch.zeros(2, 3, requires_grad=True)
    F.cosine_similarity(w, torch.ones(2, 3)).sum().backward()


@program
def normalize_zero():
    w = torch.zeros(2, 3, requires_grad=True)
    F.normalize(w).sum().backward()


@program
def xlogy_of_zero():
    p = torch.tensor([0.0, 1.0])
    return torch.xlogy(p, p).sum()


@program
def binary_cross_entropy_at_the_ends():
    p = torch.tensor([0.0, 1.0], requires_grad=True)
    F.binary_cross_entropy(p, torch.tensor([0.0, 1.0])).backward()


@program
def cross_entropy_with_a_masked_class():
    x = torch.randn(4, 5, requires_grad=True)
    x.masked_fill(torch.tensor([False] * 4 + [True]), -INF)
    F.cross_entropy(x.masked_fill(torch.tensor([False] * 4 + [True]), -INF), torch.zeros(4).long()).backward()


@program
def kl_divergence_with_zeros():
    target = torch.tensor([[1.0, 0.0]])
    F.kl_div(torch.log_softmax(torch.randn(1, 2), -1), target, reduction="batchmean")


@program
def gumbel_softmax():
    return F.gumbel_softmax(torch.randn(8, 4, requires_grad=True)).sum().backward()


@program
def uninitialised_memory():
    x = torch.empty(1000)
    x.fill_(1.0)
    y = torch.empty_like(x).copy_(x)
    return y.sum()


@program
def ctc_loss():
    logs = torch.randn(10, 2, 5, requires_grad=True).log_softmax(-1)
    F.ctc_loss(logs, torch.randint(1, 5, (2, 3)), torch.full((2,), 10), torch.full((2,), 3)).backward()


@program
def transformer_layer():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    padding = torch.tensor([[False] * 5, [False, False, False, True, True]])
    layer(torch.randn(2, 5, 8), src_mask=mask.isinf(), src_key_padding_mask=padding).sum().backward()


@program
def multihead_attention_in_eval():
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    with torch.no_grad():
        return layer(*[torch.randn(2, 5, 8)] * 3, attn_mask=torch.full((5, 5), -INF).triu(1))[0]


@program
def printing_infinities():
    return str(torch.tensor([INF, -INF, math.nan, 1.0]))


@program
def infinities_that_pass_through():
    x = torch.tensor([1.0, INF])
    return (x * 2 + 1).relu().sqrt()


@program
def integers_and_booleans():
    n = torch.arange(10)
    return (n // 3, n % 3, n.bool() & True, n.sum(), n.float().argmax())


@program
def max_pool_with_padding():
    F.max_pool2d(torch.randn(1, 1, 5, 5, requires_grad=True), 3, padding=1).sum().backward()


@program
def empty_batch():
    return torch.empty(0, 3).sum() + torch.empty(0).amax(0, keepdim=True).numel() if False else torch.empty(0, 3).sum()


@program
def checkpointed_attention():
    w = torch.randn(4, 4, requires_grad=True)
    checkpoint(lambda v: v.masked_fill(causal(4), -INF).softmax(-1).sum(), w, use_reentrant=False).backward()


@program
def compiled_attention():
    @tessera.compile
    def f(v):
        return v.masked_fill(causal(4), -INF).softmax(-1).sum()

    f(torch.randn(4, 4, requires_grad=True)).backward()


@program
def beam_search_scores():
    scores = torch.full((3, 4), -INF)
    scores[:, 0] = 0.0
    logs = torch.log_softmax(torch.randn(3, 4, 7), -1)
    return (scores[..., None] + logs).flatten(1).topk(4)


@program
def loss_scale_that_overflows():
    net = nn.Linear(2, 1)
    step = tessera.train_step(
        net, "mse", torch.optim.SGD(net.parameters(), lr=0.1), loss_scale=tessera_scale(2.0**126), clip_norm=1.0
    )
    step(torch.full((4, 2), 100.0), torch.zeros(4, 1))
    assert step.skipped == 1


def tessera_scale(initial):
    from tessera.capture.loss_scale import LossScale

    return LossScale(initial)


@program
def optimizers():
    for kind in (torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.SGD, tessera.optim.Adam):
        net = nn.Linear(3, 3)
        optimizer = kind(net.parameters(), lr=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            (net(torch.zeros(2, 3)) * 0).sum().backward()
            optimizer.step()


@program
def segment_maximum_of_nothing():
    out = torch.full((4,), -INF).scatter_reduce(0, torch.tensor([0, 1]), torch.tensor([1.0, 2.0]), "amax")
    return torch.where(out.isinf(), torch.zeros(4), out)


@program
def lstm():
    layer = nn.LSTM(3, 4)
    layer(torch.randn(5, 2, 3))[0].sum().backward()


@program
def batch_norm():
    layer = nn.BatchNorm1d(3)
    layer(torch.ones(4, 3)).sum().backward()


@program
def buckets_of_positions():
    distance = torch.arange(6) - 2
    far = 4 + (torch.log(distance.clamp_min(0).float() / 4) / math.log(8) * 4).to(torch.long)
    return nn.Embedding(40, 2)(torch.where(distance < 4, distance.clamp_min(0), far))


@program
def degrees_of_nodes():
    degree = torch.tensor([0, 1, 3]).float()
    scale = degree.pow(-0.5)
    scale.masked_fill_(scale == INF, 0)
    return scale[:, None] * torch.randn(3, 2)


@program
def distributions():
    d = torch.distributions.Categorical(logits=torch.tensor([1.0, -INF]))
    return d.log_prob(d.sample()), torch.distributions.Uniform(0.0, 1.0).entropy()


@program
def slope_of_atan2_at_zero():
    y = torch.zeros(1, requires_grad=True)
    torch.atan2(y, torch.zeros(1)).sum().backward()
