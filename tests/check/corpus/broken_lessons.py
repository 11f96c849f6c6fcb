"""Attention, positions, masks and decoding, as a tutorial writes them, each with one line wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

import tessera
import tessera as ts
from tessera import Tensor


def wrong_dot_attention(
    q: Tensor["B", "H", "S", "D"], k: Tensor["B", "H", "T", "D"], v: Tensor["B", "H", "T", "D"]
) -> Tensor["B", "H", "S", "D"]:
    scale = 1.0 / math.sqrt(q.size(-1))
    scores = torch.matmul(q, k) * scale  # BUG
    weights = scores.softmax(dim=-1)
    return torch.matmul(weights, v)


class WrongHeadsOfEight(nn.Module):
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
        y = y.transpose(1, 2).reshape(b, s, self.d_head)  # BUG
        return self.out(y)


class WrongPackedQKV(nn.Module):
    def __init__(self, dim=96, heads=6):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, dim)  # BUG
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor["B", "N", 96]) -> Tensor["B", "N", 96]:
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)  # HURTS
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = (q @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))


class WrongFeedForwardBlock(nn.Module):
    def __init__(self, d_model: int = 64, expansion: int = 4):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, expansion * d_model)
        self.down = nn.Linear(d_model, d_model)  # BUG

    def forward(self, x: Tensor["batch", "seq", 64]) -> Tensor["batch", "seq", 64]:
        h = self.norm(x)
        h = F.gelu(self.up(h))
        return x + self.down(h)  # HURTS


def wrong_sine_positions(x: Tensor["B", "S", 32]) -> Tensor["B", "S", 32]:
    seq_len, dim = x.shape[1], x.shape[2]
    position = torch.arange(seq_len)  # BUG
    freq = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    angles = position * freq  # HURTS
    pe = torch.cat([angles.sin(), angles.cos()], dim=-1)
    return x + pe


class WrongLearnedPositions(nn.Module):
    def __init__(self, max_len: int = 512, dim: int = 48):
        super().__init__()
        self.pos = nn.Embedding(max_len, dim)

    def forward(self, x: Tensor["B", "S", 48]) -> Tensor["B", "S", 48]:
        idx = torch.arange(x.size(0), device=x.device)  # BUG
        return x + self.pos(idx)[None]  # HURTS


def wrong_look_ahead_mask(scores: Tensor["B", "H", "S", "S"]) -> Tensor["B", "H", "S", "S"]:
    s = scores.size(-1)
    mask = torch.triu(torch.ones(s, s + 1, dtype=torch.bool), diagonal=1)  # BUG
    return scores.masked_fill(mask, float("-inf"))  # HURTS


def wrong_mask_padding(
    scores: Tensor["B", "H", "Q", "K"], lengths_mask: Tensor["B", "K", torch.bool]
) -> Tensor["B", "H", "Q", "K"]:
    blocked = ~lengths_mask
    scores = scores.masked_fill(blocked[:, None, :], -1e9)  # BUG
    return scores.softmax(dim=-1)


def wrong_rotate_queries(
    x: Tensor["B", "H", "S", "D"], cos: Tensor["S", "D"], sin: Tensor["S", "D"]
) -> Tensor["B", "H", "S", "D"]:
    x1, x2 = x.chunk(2, dim=-1)
    rotated = torch.cat((-x2, x1), dim=-2)  # BUG
    return x * cos + rotated * sin  # HURTS


class WrongTinyDecoder(nn.Module):
    """A one-block language model."""

    def __init__(self, vocab: int = 1000, dim: int = 64):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.attn = nn.MultiheadAttention(dim, 4, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(vocab, dim, bias=False)  # BUG

    def forward(self, tokens: Tensor["B", "S", torch.long]) -> Tensor["B", "S", 1000]:
        h = self.embed(tokens)
        a, _ = self.attn(h, h, h)
        h = self.norm(h + a)
        return self.head(h)  # HURTS


def wrong_language_model_loss(logits: Tensor["B", "S", "V"], tokens: Tensor["B", "S", torch.long]) -> Tensor[()]:
    shifted = logits[:, :-1, :]
    targets = tokens  # BUG
    return F.cross_entropy(shifted.reshape(-1, shifted.size(-1)), targets.reshape(-1))  # HURTS


def wrong_pick_last_token(hidden: Tensor["B", "S", "D"], lengths: Tensor["B", torch.long]) -> Tensor["B", "D"]:
    batch = torch.arange(hidden.shape[1])  # BUG
    return hidden[batch, lengths - 1]  # HURTS


def wrong_beam_expand(
    beam_scores: Tensor["B", "K"], log_probs: Tensor["B", "K", "V"]
) -> tuple[Tensor["B", "K"], Tensor["B", "K", torch.long]]:
    k = beam_scores.shape[1]
    total = beam_scores + log_probs  # BUG
    flat = total.view(total.shape[0], -1)
    values, indices = flat.topk(k, dim=-1)
    return values, indices


def wrong_top_k_filter(logits: Tensor["B", "V"], k: int = 5) -> Tensor["B", "V"]:
    values, _ = torch.topk(logits, k, dim=-1)
    threshold = values[:, -1]  # BUG
    return torch.where(logits < threshold, torch.full_like(logits, -float("inf")), logits)  # HURTS


def wrong_greedy_step(
    logits: Tensor["B", "S", "V"], tokens: Tensor["B", "S", torch.long]
) -> Tensor["B", "S+1", torch.long]:
    next_token = logits[:, -1].argmax(dim=-1)  # BUG
    return torch.cat([tokens, next_token], dim=1)  # HURTS


def wrong_append_to_cache(
    cache: Tensor["B", "H", "P", "D"], new: Tensor["B", "H", 1, "D"]
) -> Tensor["B", "H", "P + 1", "D"]:
    return torch.cat([cache, new], dim=3)  # BUG


@dataclass
class EncoderState:
    hidden: Tensor["B", "S", 40]
    mask: Tensor["B", "S", torch.bool]


def wrong_pool_state(state: EncoderState) -> Tensor["B", 40]:
    m = state.mask.unsqueeze(-1).float()
    total = (state.hidden * m).sum(dim=1)
    count = m.sum(dim=2).clamp(min=1.0)  # BUG
    return total / count  # HURTS


class WrongCrossAttend(nn.Module):
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
        v = self.split(self.to_v(x))  # BUG
        out = F.scaled_dot_product_attention(q, k, v)
        return out.transpose(1, 2).flatten(2)


class WrongTokenAndSegment(nn.Module):
    def __init__(self, vocab=500, hidden=36):
        super().__init__()
        self.word = nn.Embedding(vocab, hidden)
        self.segment = nn.Embedding(hidden, 2)  # BUG
        self.norm = nn.LayerNorm(hidden)

    def forward(
        self, ids: Tensor["B", "S", torch.long], segments: Tensor["B", "S", torch.long]
    ) -> Tensor["B", "S", 36]:
        return self.norm(self.word(ids) + self.segment(segments))  # HURTS


def wrong_multi_query(
    q: Tensor["B", "S", "H", "D"], k: Tensor["B", "T", "D"], v: Tensor["B", "T", "D"]
) -> Tensor["B", "S", "H", "D"]:
    scores = torch.einsum("bshd,btd->bhst", q, k)  # BUG
    probs = scores.softmax(-1)
    return torch.einsum("bsht,btd->bshd", probs, v)


def wrong_sliding_scores(q: Tensor["B", "S", "D"], k: Tensor["B", "S", "D"], window: int = 4) -> Tensor["B", "S", 5]:
    padded = F.pad(k, (window, 0))  # BUG
    neighbours = padded.unfold(1, window + 1, 1)  # HURTS
    return torch.einsum("bsd,bsdw->bsw", q, neighbours)  # HURTS


def wrong_classify_document(x: Tensor["B", "S", 64]) -> Tensor["B", 5]:
    h = ts.nn.linear(x, 32).relu()
    h = h.mean(dim=0)  # BUG
    return ts.nn.linear(h, 5)


class WrongPreNormStack(nn.Module):
    def __init__(self, dim=32, depth=3):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(depth)])
        self.mlps = nn.ModuleList(
            [nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(depth)]  # BUG
        )

    def forward(self, x: Tensor["B", "S", 32]) -> Tensor["B", "S", 32]:
        for norm, mlp in zip(self.norms, self.mlps):
            x = x + mlp(norm(x))  # HURTS
        return x


PROGRAMS = [
    wrong_dot_attention,
    WrongHeadsOfEight,
    WrongPackedQKV,
    WrongFeedForwardBlock,
    wrong_sine_positions,
    WrongLearnedPositions,
    wrong_look_ahead_mask,
    wrong_mask_padding,
    wrong_rotate_queries,
    WrongTinyDecoder,
    wrong_language_model_loss,
    wrong_pick_last_token,
    wrong_beam_expand,
    wrong_top_k_filter,
    wrong_greedy_step,
    wrong_append_to_cache,
    wrong_pool_state,
    WrongCrossAttend,
    WrongTokenAndSegment,
    wrong_multi_query,
    wrong_sliding_scores,
    lambda: tessera.function(wrong_classify_document),
    WrongPreNormStack,
]

SIZES = {
    "wrong_rotate_queries": {"D": 2},
    "wrong_top_k_filter": {"V": (17, 9, 31)},
    "wrong_beam_expand": {"K": (3, 2, 4)},
}
