"""Programs in several files and with functions inside functions: ``parts.py`` has what they share."""

from __future__ import annotations

from typing import List, Tuple

import torch
import torch.nn.functional as F
from tessera import Tensor
from tests.check.corpus.parts import AddNorm, FeedForward, merge_heads, pad_to_multiple, sinusoids, split_heads
from torch import nn


class Attend(nn.Module):
    def __init__(self, dim=96, heads=8):
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "S", 96]) -> Tensor["B", "S", 96]:
        q = split_heads(self.q(x), self.heads)
        k = split_heads(self.k(x), self.heads)
        v = split_heads(self.v(x), self.heads)
        scores = q @ k.transpose(-2, -1) / self.head_dim**0.5
        return self.out(merge_heads(scores.softmax(-1) @ v))


def cosine_table(a: Tensor["N", "D"], b: Tensor["M", "D"]) -> Tensor["N", "M"]:
    def unit(t):
        length = t.norm(dim=-1, keepdim=True)
        return t / length.clamp(min=1e-8)

    return unit(a) @ unit(b).T


class Blocked(nn.Module):
    def __init__(self, dim=18, block=4):
        super().__init__()
        self.block = block
        self.mix = nn.Linear(block * dim, block * dim)

    def forward(self, x: Tensor["B", "S", 18]) -> Tensor["B", "S", 18]:
        b, s, d = x.shape
        padded = pad_to_multiple(x, self.block)
        chunks = padded.reshape(b, -1, self.block * d)
        mixed = F.relu(self.mix(chunks))
        return mixed.reshape(b, -1, d)[:, :s]


class Encoder(nn.Module):
    def __init__(self, dim=21, out=5):
        super().__init__()
        self.body = FeedForward(dim, 2 * dim)
        self.out = nn.Linear(dim, out)

    def pool(self, h):
        return h[:, 0]

    def forward(self, x: Tensor["B", "S", 21]) -> Tensor["B", 5]:
        return self.out(self.pool(self.body(x)))


class MeanEncoder(Encoder):
    def pool(self, h):
        return h.mean(dim=1)


def make_mlp(widths):
    layers = []
    for fan_in, fan_out in zip(widths[:-1], widths[1:]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class TwoHeads(nn.Module):
    def __init__(self, obs=17, actions=6):
        super().__init__()
        self.trunk = make_mlp([obs, 64, 48])
        self.policy = make_mlp([48, 32, actions])
        self.value = make_mlp([48, 32, 1])

    def forward(self, obs: Tensor["B", 17]) -> Tuple[Tensor["B", 6], Tensor["B"]]:
        h = F.relu(self.trunk(obs))
        return self.policy(h), self.value(h).squeeze(-1)


class LowRankBranch(nn.Module):
    def __init__(self, fan_in=26, fan_out=34, rank=4, alpha=8):
        super().__init__()
        self.base = nn.Linear(fan_in, fan_out)
        self.a = nn.Parameter(torch.randn(rank, fan_in) * 0.01)
        self.b = nn.Parameter(torch.zeros(fan_out, rank))
        self.scale = alpha / rank

    def forward(self, x: Tensor["...", 26]) -> Tensor["...", 34]:
        low = x @ self.a.T
        return self.base(x) + self.scale * (low @ self.b.T)


def reorder(
    past: List[Tuple[Tensor["B", "H", "T", 32], Tensor["B", "H", "T", 32]]], order: Tensor["B", torch.int64]
) -> List[Tuple[Tensor["B", "H", "T", 32], Tensor["B", "H", "T", 32]]]:
    moved = []
    for keys, values in past:
        keys = keys.index_select(0, order)
        values = values.index_select(0, order)
        moved.append((keys, values))
    return moved


class Quantizer(nn.Module):
    def __init__(self, codes=64, dim=12):
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(codes, dim))

    def forward(self, z: Tensor["B", "N", 12]) -> Tuple[Tensor["B", "N", 12], Tensor[()]]:
        flat = z.reshape(-1, z.shape[-1])
        distance = flat.pow(2).sum(dim=1, keepdim=True) - 2 * flat @ self.codebook.T + self.codebook.pow(2).sum(dim=1)
        nearest = distance.argmin(dim=1)
        quantized = self.codebook[nearest].view_as(z)
        loss = F.mse_loss(quantized, z.detach()) + 0.25 * F.mse_loss(quantized.detach(), z)
        return z + (quantized - z).detach(), loss


class MaskedDecoder(nn.Module):
    def __init__(self, dim=30, ratio=4):
        super().__init__()
        self.ratio = ratio
        self.blank = nn.Parameter(torch.zeros(1, 1, dim))
        self.block = AddNorm(dim, FeedForward(dim, 4 * dim))

    def forward(self, x: Tensor["B", "4*N", 30], order: Tensor["B", "4*N", torch.int64]) -> Tensor["B", "4*N", 30]:
        b, n, d = x.shape
        kept = n // self.ratio
        visible = x.gather(1, order[:, :kept, None].expand(-1, -1, d))
        blanks = self.blank.expand(b, n - kept, -1)
        full = torch.cat([visible, blanks], dim=1)
        return self.block(full + sinusoids(n, d))


class RoundsOfMessages(nn.Module):
    def __init__(self, dim=13, edge_dim=5, rounds=2):
        super().__init__()
        self.message = nn.ModuleList([FeedForward(2 * dim + edge_dim, 32, dim) for _ in range(rounds)])
        self.update = nn.ModuleList([FeedForward(2 * dim, 32, dim) for _ in range(rounds)])

    def forward(self, h: Tensor["N", 13], edges: Tensor[2, "E", torch.int64], e: Tensor["E", 5]) -> Tensor["N", 13]:
        src, dst = edges
        for message, update in zip(self.message, self.update):
            m = message(torch.cat([h[src], h[dst], e], dim=-1))
            total = torch.zeros_like(h).index_add(0, dst, m)
            h = h + update(torch.cat([h, total], dim=-1))
        return h


class TinyTransformer(nn.Module):
    def __init__(self, vocab=200, dim=32, heads=4, depth=3):
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(vocab, dim)
        self.register_buffer("places", sinusoids(256, dim))
        self.qkv = nn.ModuleList(nn.Linear(dim, 3 * dim) for _ in range(depth))
        self.ffs = nn.ModuleList(AddNorm(dim, FeedForward(dim, 3 * dim)) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor["B", "S", torch.int64]) -> Tensor["B", "S", 200]:
        n = tokens.shape[1]
        x = self.embed(tokens) + self.places[:n]
        for qkv, ff in zip(self.qkv, self.ffs):
            q, k, v = (split_heads(t, self.heads) for t in qkv(x).chunk(3, dim=-1))
            x = x + merge_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True))
            x = ff(x)
        return self.norm(x) @ self.embed.weight.T


def with_inner_functions(x: Tensor["B", "S", "D"], y: Tensor["B", "T", "D"]) -> Tensor["B", "S+T", "D"]:
    def center(t, dim=1):
        return t - t.mean(dim=dim, keepdim=True)

    def both(f):
        return f(x), f(y)

    return torch.cat(both(center), dim=1)


PROGRAMS = [
    Attend,
    cosine_table,
    Blocked,
    MeanEncoder,
    TwoHeads,
    LowRankBranch,
    reorder,
    Quantizer,
    MaskedDecoder,
    RoundsOfMessages,
    TinyTransformer,
    with_inner_functions,
]

SIZES = {"Blocked": {"S": (13, 10, 14)}}
