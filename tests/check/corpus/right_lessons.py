"""Attention, positions, masks and decoding, as a tutorial writes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

import tessera
import tessera as ts
from tessera import Tensor


def dot_attention(
    q: Tensor["B", "H", "S", "D"], k: Tensor["B", "H", "T", "D"], v: Tensor["B", "H", "T", "D"]
) -> Tensor["B", "H", "S", "D"]:
    scale = 1.0 / math.sqrt(q.size(-1))
    scores = torch.matmul(q, k.transpose(-2, -1)) * scale
    weights = scores.softmax(dim=-1)
    return torch.matmul(weights, v)


class HeadsOfEight(nn.Module):
    def __init__(self, d_model: int = 128, n_heads: int = 8):
        super().__init__()
        self.n_heads = n_heads
        self.d_head = d_model // n_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor["B", "S", 128]) -> Tensor["B", "S", 128]:
        b, s, d = x.shape
        q = self.q_proj(x).view(b, s, self.n_heads, self.d_head).transpose(1, 2)
        k = self.k_proj(x).view(b, s, self.n_heads, self.d_head).transpose(1, 2)
        v = self.v_proj(x).view(b, s, self.n_heads, self.d_head).transpose(1, 2)
        att = F.softmax(q @ k.transpose(-2, -1) / math.sqrt(self.d_head), dim=-1)
        y = att @ v
        y = y.transpose(1, 2).reshape(b, s, d)
        return self.out(y)


class PackedQKV(nn.Module):
    def __init__(self, dim=96, heads=6):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "N", 96]) -> Tensor["B", "N", 96]:
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = (q @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))


class FeedForwardBlock(nn.Module):
    def __init__(self, d_model: int = 64, expansion: int = 4):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, expansion * d_model)
        self.down = nn.Linear(expansion * d_model, d_model)

    def forward(self, x: Tensor["batch", "seq", 64]) -> Tensor["batch", "seq", 64]:
        h = self.norm(x)
        h = F.gelu(self.up(h))
        return x + self.down(h)


def sine_positions(x: Tensor["B", "S", 32]) -> Tensor["B", "S", 32]:
    seq_len, dim = x.shape[1], x.shape[2]
    position = torch.arange(seq_len).unsqueeze(1)
    freq = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    angles = position * freq
    pe = torch.cat([angles.sin(), angles.cos()], dim=-1)
    return x + pe


class LearnedPositions(nn.Module):
    def __init__(self, max_len: int = 512, dim: int = 48):
        super().__init__()
        self.pos = nn.Embedding(max_len, dim)

    def forward(self, x: Tensor["B", "S", 48]) -> Tensor["B", "S", 48]:
        idx = torch.arange(x.size(1), device=x.device)
        return x + self.pos(idx)[None]


def look_ahead_mask(scores: Tensor["B", "H", "S", "S"]) -> Tensor["B", "H", "S", "S"]:
    s = scores.size(-1)
    mask = torch.triu(torch.ones(s, s, dtype=torch.bool), diagonal=1)
    return scores.masked_fill(mask, float("-inf"))


def mask_padding(
    scores: Tensor["B", "H", "Q", "K"], lengths_mask: Tensor["B", "K", torch.bool]
) -> Tensor["B", "H", "Q", "K"]:
    blocked = ~lengths_mask
    scores = scores.masked_fill(blocked[:, None, None, :], -1e9)
    return scores.softmax(dim=-1)


def rotate_queries(
    x: Tensor["B", "H", "S", "D"], cos: Tensor["S", "D"], sin: Tensor["S", "D"]
) -> Tensor["B", "H", "S", "D"]:
    x1, x2 = x.chunk(2, dim=-1)
    rotated = torch.cat((-x2, x1), dim=-1)
    return x * cos + rotated * sin


class TinyDecoder(nn.Module):
    """A one-block language model."""

    def __init__(self, vocab: int = 1000, dim: int = 64):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.attn = nn.MultiheadAttention(dim, 4, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocab, bias=False)

    def forward(self, tokens: Tensor["B", "S", torch.long]) -> Tensor["B", "S", 1000]:
        h = self.embed(tokens)
        a, _ = self.attn(h, h, h)
        h = self.norm(h + a)
        return self.head(h)


def language_model_loss(logits: Tensor["B", "S", "V"], tokens: Tensor["B", "S", torch.long]) -> Tensor[()]:
    shifted = logits[:, :-1, :]
    targets = tokens[:, 1:]
    return F.cross_entropy(shifted.reshape(-1, shifted.size(-1)), targets.reshape(-1))


def pick_last_token(hidden: Tensor["B", "S", "D"], lengths: Tensor["B", torch.long]) -> Tensor["B", "D"]:
    batch = torch.arange(hidden.shape[0])
    return hidden[batch, lengths - 1]


def beam_expand(
    beam_scores: Tensor["B", "K"], log_probs: Tensor["B", "K", "V"]
) -> tuple[Tensor["B", "K"], Tensor["B", "K", torch.long]]:
    k = beam_scores.shape[1]
    total = beam_scores.unsqueeze(-1) + log_probs
    flat = total.view(total.shape[0], -1)
    values, indices = flat.topk(k, dim=-1)
    return values, indices


def top_k_filter(logits: Tensor["B", "V"], k: int = 5) -> Tensor["B", "V"]:
    values, _ = torch.topk(logits, k, dim=-1)
    threshold = values[:, -1].unsqueeze(-1)
    return torch.where(logits < threshold, torch.full_like(logits, -float("inf")), logits)


def greedy_step(logits: Tensor["B", "S", "V"], tokens: Tensor["B", "S", torch.long]) -> Tensor["B", "S+1", torch.long]:
    next_token = logits[:, -1].argmax(dim=-1, keepdim=True)
    return torch.cat([tokens, next_token], dim=1)


def append_to_cache(cache: Tensor["B", "H", "P", "D"], new: Tensor["B", "H", 1, "D"]) -> Tensor["B", "H", "P + 1", "D"]:
    return torch.cat([cache, new], dim=2)


@dataclass
class EncoderState:
    hidden: Tensor["B", "S", 40]
    mask: Tensor["B", "S", torch.bool]


def pool_state(state: EncoderState) -> Tensor["B", 40]:
    m = state.mask.unsqueeze(-1).float()
    total = (state.hidden * m).sum(dim=1)
    count = m.sum(dim=1).clamp(min=1.0)
    return total / count


class CrossAttend(nn.Module):
    def __init__(self, dim: int = 64, context_dim: int = 80, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(context_dim, dim)
        self.to_v = nn.Linear(context_dim, dim)

    def split(self, t):
        b, n, d = t.shape
        return t.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)

    def forward(self, x: Tensor["B", "N", 64], context: Tensor["B", "M", 80]) -> Tensor["B", "N", 64]:
        q = self.split(self.to_q(x))
        k = self.split(self.to_k(context))
        v = self.split(self.to_v(context))
        out = F.scaled_dot_product_attention(q, k, v)
        return out.transpose(1, 2).flatten(2)


class TokenAndSegment(nn.Module):
    def __init__(self, vocab=500, hidden=36):
        super().__init__()
        self.word = nn.Embedding(vocab, hidden)
        self.segment = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(
        self, ids: Tensor["B", "S", torch.long], segments: Tensor["B", "S", torch.long]
    ) -> Tensor["B", "S", 36]:
        return self.norm(self.word(ids) + self.segment(segments))


def multi_query(
    q: Tensor["B", "S", "H", "D"], k: Tensor["B", "T", "D"], v: Tensor["B", "T", "D"]
) -> Tensor["B", "S", "H", "D"]:
    scores = torch.einsum("bshd,btd->bsht", q, k)
    probs = scores.softmax(-1)
    return torch.einsum("bsht,btd->bshd", probs, v)


def sliding_scores(q: Tensor["B", "S", "D"], k: Tensor["B", "S", "D"], window: int = 4) -> Tensor["B", "S", 5]:
    padded = F.pad(k, (0, 0, window, 0))
    neighbours = padded.unfold(1, window + 1, 1)
    return torch.einsum("bsd,bsdw->bsw", q, neighbours)


def classify_document(x: Tensor["B", "S", 64]) -> Tensor["B", 5]:
    h = ts.nn.linear(x, 32).relu()
    h = h.mean(dim=1)
    return ts.nn.linear(h, 5)


class PreNormStack(nn.Module):
    def __init__(self, dim=32, depth=3):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(depth)])
        self.mlps = nn.ModuleList(
            [nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim)) for _ in range(depth)]
        )

    def forward(self, x: Tensor["B", "S", 32]) -> Tensor["B", "S", 32]:
        for norm, mlp in zip(self.norms, self.mlps):
            x = x + mlp(norm(x))
        return x


PROGRAMS = [
    dot_attention,
    HeadsOfEight,
    PackedQKV,
    FeedForwardBlock,
    sine_positions,
    LearnedPositions,
    look_ahead_mask,
    mask_padding,
    rotate_queries,
    TinyDecoder,
    language_model_loss,
    pick_last_token,
    beam_expand,
    top_k_filter,
    greedy_step,
    append_to_cache,
    pool_state,
    CrossAttend,
    TokenAndSegment,
    multi_query,
    sliding_scores,
    lambda: tessera.function(classify_document),
    PreNormStack,
]

SIZES = {"rotate_queries": {"D": 2}, "top_k_filter": {"V": (17, 9, 31)}, "beam_expand": {"K": (3, 2, 4)}}
