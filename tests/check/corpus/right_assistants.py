"""What writes and answers: caches, positions, latent keys, drafts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import nn

import tessera
from tessera import Tensor

B, S, H, C, D, V, K, N = tessera.dims("B S H C D V K N")


class SharedKeys(nn.Module):
    """Eight heads of queries, two of keys and values."""

    def __init__(self, width: int = 256, heads: int = 8, kv_heads: int = 2):
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.q = nn.Linear(width, heads * self.size)
        self.k = nn.Linear(width, kv_heads * self.size)
        self.v = nn.Linear(width, kv_heads * self.size)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor["B", "S", 256]) -> Tensor["B", "S", 256]:
        b, s, _ = x.shape
        q = self.q(x).view(b, s, self.heads, self.size).transpose(1, 2)
        k = self.k(x).view(b, s, self.kv_heads, self.size).transpose(1, 2)
        v = self.v(x).view(b, s, self.kv_heads, self.size).transpose(1, 2)
        groups = self.heads // self.kv_heads
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, s, -1))


@dataclass
class Remembered:
    keys: Tensor["B", 4, "C", 64]
    values: Tensor["B", 4, "C", 64]


def attend_with_memory(
    q: Tensor["B", 4, "S", 64], k: Tensor["B", 4, "S", 64], v: Tensor["B", 4, "S", 64], past: Remembered
) -> Tensor["B", 4, "S", 64]:
    keys = torch.cat([past.keys, k], dim=2)
    values = torch.cat([past.values, v], dim=2)
    seen, new = past.keys.shape[2], k.shape[2]
    mask = torch.ones(new, seen + new, dtype=torch.bool).tril(diagonal=seen)
    scores = q @ keys.transpose(-2, -1) / math.sqrt(64)
    scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ values


def sloped_bias(scores: Tensor["B", "H", "S", "S"]) -> Tensor["B", "H", "S", "S"]:
    heads, length = scores.size(1), scores.size(-1)
    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads)
    place = torch.arange(length)
    distance = (place[None, :] - place[:, None]).abs()
    return scores - slopes[:, None, None] * distance


class LatentKeys(nn.Module):
    """Keys and values are kept as one short vector for each token."""

    def __init__(self, width=512, heads=8, latent=96, rotary=32):
        super().__init__()
        self.heads = heads
        self.latent, self.rotary = latent, rotary
        self.size = width // heads
        self.query = nn.Linear(width, heads * (self.size + rotary))
        self.down = nn.Linear(width, latent + rotary)
        self.up_key = nn.Linear(latent, width)
        self.up_value = nn.Linear(latent, width)
        self.out = nn.Linear(width, width)

    def heads_of(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor[B, S, 512]) -> Tensor[B, S, 512]:
        q = self.heads_of(self.query(x))
        latent, turned = self.down(x).split([self.latent, self.rotary], dim=-1)
        k = self.heads_of(self.up_key(latent))
        v = self.heads_of(self.up_value(latent))
        turned = turned[:, None].expand(-1, self.heads, -1, -1)
        k = torch.cat([k, turned], dim=-1)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))


def accepted_drafts(
    drafted: Int[torch.Tensor, "b k"],
    small: Float[torch.Tensor, "b k v"],
    large: Float[torch.Tensor, "b k v"],
    luck: Float[torch.Tensor, "b k"],
) -> Int[torch.Tensor, "b"]:
    """How many drafted words the large model takes."""
    token = drafted.unsqueeze(-1)
    p = large.softmax(dim=-1).gather(2, token).squeeze(-1)
    q = small.softmax(dim=-1).gather(2, token).squeeze(-1)
    accept = luck < p / q
    return accept.long().cumprod(dim=1).sum(dim=1)


@tessera.function
def kernel_attention_again(q: Tensor[B, H, S, 32], k: Tensor[B, H, S, 32], v: Tensor[B, H, S, D]) -> Tensor[B, H, S, D]:
    q = F.elu(q) + 1
    k = F.elu(k) + 1
    context = torch.einsum("bhsd,bhse->bhde", k, v)
    total = k.sum(dim=2)
    scale = 1 / torch.einsum("bhsd,bhd->bhs", q, total)
    return torch.einsum("bhsd,bhde,bhs->bhse", q, context, scale)


class PromptTuned(nn.Module):
    """A frozen encoder behind some learned tokens."""

    def __init__(self, prompts: int = 12, width: int = 128):
        super().__init__()
        self.prompts = nn.Parameter(torch.zeros(prompts, width))
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[torch.Tensor, "batch words 128"]) -> Float[torch.Tensor, "batch words 128"]:
        learned = self.prompts.expand(x.shape[0], -1, -1)
        x = torch.cat([learned, x], dim=1)
        x = self.norm(self.encoder(x))
        return x[:, self.prompts.shape[0] :]


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def turned_by_place(x: Tensor["B", "H", "S", 64], base: float = 10000.0) -> Tensor["B", "H", "S", 64]:
    frequency = base ** (-torch.arange(0, 64, 2) / 64)
    angle = torch.outer(torch.arange(x.shape[-2]), frequency).repeat(1, 2)
    return x * angle.cos() + rotate_half(x) * angle.sin()


class SoftExperts(nn.Module):
    """Slots of mixed tokens, some for each expert."""

    def __init__(self, width=64, experts=6, slots=4):
        super().__init__()
        self.phi = nn.Parameter(torch.randn(width, experts, slots))
        self.first = nn.Parameter(torch.randn(experts, width, 2 * width))
        self.second = nn.Parameter(torch.randn(experts, 2 * width, width))

    def forward(self, x: Tensor["B", "N", 64]) -> Tensor["B", "N", 64]:
        logits = torch.einsum("bnd,des->bnes", x, self.phi)
        dispatch = logits.softmax(dim=1)
        combine = logits.flatten(2).softmax(dim=-1).view_as(logits)
        slots = torch.einsum("bnd,bnes->besd", x, dispatch)
        hidden = F.gelu(torch.einsum("besd,edf->besf", slots, self.first))
        out = torch.einsum("besf,efd->besd", hidden, self.second)
        return torch.einsum("besd,bnes->bnd", out, combine)


class AnswerScore(nn.Module):
    """One number for each answer, read at its last word."""

    def __init__(self, words=1000, width=96):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.mix = nn.GRU(width, width, batch_first=True)
        self.score = nn.Linear(width, 1)

    def forward(self, answer: Tensor["B", "S", torch.int64], length: Tensor["B", torch.int64]) -> Tensor["B"]:
        hidden, _ = self.mix(self.embed(answer))
        last = (length - 1).clamp(min=0)[:, None, None].expand(-1, 1, hidden.size(-1))
        picked = hidden.gather(1, last).squeeze(1)
        return self.score(picked).squeeze(-1)


PROGRAMS = [
    SharedKeys,
    attend_with_memory,
    sloped_bias,
    LatentKeys,
    accepted_drafts,
    kernel_attention_again,
    PromptTuned,
    turned_by_place,
    SoftExperts,
    AnswerScore,
]
