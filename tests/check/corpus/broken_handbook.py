"""Language models, their parts and their objectives, as a handbook has them, each with one line wrong."""

from __future__ import annotations

import math
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import nn

from tessera import Tensor


class WrongRMSScale(nn.Module):
    def __init__(self, dim: int = 80, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor["B", "S", 80]) -> Tensor["B", "S", 80]:
        inv = torch.rsqrt(x.pow(2).mean(-1) + self.eps)  # BUG
        return x * inv * self.weight  # HURTS


class WrongSwiGLUBlock(nn.Module):
    def __init__(self, dim=64, hidden=172):
        super().__init__()
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(dim, hidden, bias=False)  # BUG
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x: Tensor["B", "T", 64]) -> Tensor["B", "T", 64]:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))  # HURTS


class WrongGroupedKV(nn.Module):
    def __init__(self, dim=64, n_heads=8, n_kv=2):
        super().__init__()
        self.n_heads, self.n_kv = n_heads, n_kv
        self.hd = dim // n_heads
        self.wq = nn.Linear(dim, n_heads * self.hd, bias=False)
        self.wk = nn.Linear(dim, n_kv * self.hd, bias=False)
        self.wv = nn.Linear(dim, n_kv * self.hd, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        B, S, _ = x.shape
        q = self.wq(x).view(B, S, self.n_heads, self.hd).transpose(1, 2)
        k = self.wk(x).view(B, S, self.n_kv, self.hd).transpose(1, 2)
        v = self.wv(x).view(B, S, self.n_kv, self.hd).transpose(1, 2)
        rep = self.n_heads // self.n_kv
        k = k.repeat_interleave(rep, dim=2)  # BUG
        v = v.repeat_interleave(rep, dim=1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # HURTS
        return self.wo(out.transpose(1, 2).reshape(B, S, -1))


def wrong_rotary_angles(positions: Tensor["S", torch.long], dim: int = 16) -> Tuple[Tensor["S", 16], Tensor["S", 16]]:
    inv_freq = 1.0 / (10000 ** (torch.arange(0, dim, 2).float() / dim))
    freqs = torch.outer(inv_freq, positions.float())  # BUG
    emb = torch.cat((freqs, freqs), dim=-1)
    return emb.cos(), emb.sin()


def wrong_relative_bias_table(table: Tensor["H", 63], s: int = 32) -> Tensor["H", 32, 32]:
    i = torch.arange(s)
    offset = i - i + s - 1  # BUG
    return table[:, offset]


class WrongEncoderLayer(nn.Module):
    def __init__(self, d_model=72, nhead=6, d_ff=144):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, nhead, batch_first=True)
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_ff)  # BUG

    def forward(self, src: Tensor["B", "S", 72]) -> Tensor["B", "S", 72]:
        a, _ = self.self_attn(src, src, src, need_weights=False)
        src = self.norm1(src + a)
        ff = self.linear2(F.relu(self.linear1(src)))
        return self.norm2(src + ff)  # HURTS


class WrongTextCNN(nn.Module):
    def __init__(self, vocab=5000, dim=100, filters=32, classes=4):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.convs = nn.ModuleList([nn.Conv1d(dim, filters, k, padding=k // 2) for k in (3, 5, 7)])
        self.fc = nn.Linear(3 * filters, classes)

    def forward(self, ids: Tensor["B", "L", torch.long]) -> Tensor["B", 4]:
        x = self.embed(ids)  # BUG
        feats = [F.relu(conv(x)).amax(dim=2) for conv in self.convs]  # HURTS
        return self.fc(torch.cat(feats, dim=1))


def wrong_shift_tokens(ids: Tensor["B", "S", torch.long], start: int = 1) -> Tensor["B", "S", torch.long]:
    bos = torch.full((ids.size(0), 1), start, dtype=ids.dtype)
    return torch.cat([bos, ids], dim=1)  # BUG


def wrong_sequence_log_prob(
    logits: Tensor["B", "S", "V"], labels: Tensor["B", "S", torch.long], mask: Tensor["B", "S"]
) -> Tensor["B"]:
    logp = F.log_softmax(logits, dim=-1)
    token_logp = torch.gather(logp, 2, labels.unsqueeze(2)).squeeze(2)
    return (token_logp * mask).sum(dim=0)  # BUG


def wrong_dpo_margin(
    chosen: Tensor["B", "S"], rejected: Tensor["B", "S"], mask_c: Tensor["B", "S"], mask_r: Tensor["B", "S"]
) -> Tensor["B"]:
    c = (chosen * mask_c).sum(1)
    r = rejected * mask_r  # BUG
    return F.logsigmoid(0.1 * (c - r))  # HURTS


def wrong_distil(student: Tensor["B", "V"], teacher: Tensor["B", "V"], weights: Tensor["B"]) -> Tensor[()]:
    kl = F.kl_div(student.log_softmax(-1), teacher.softmax(-1), reduction="none").sum(dim=0)  # BUG
    return (kl * weights).mean()  # HURTS


def wrong_repetition_penalty(
    logits: Tensor["B", "V"], generated: Tensor["B", "T", torch.long], penalty: float = 1.2
) -> Tensor["B", "V"]:
    picked = logits.gather(1, generated)
    picked = torch.where(picked > 0, picked / penalty, picked * penalty)
    return picked.scatter(1, generated, logits)  # BUG


class WrongLoraAdapter(nn.Module):
    def __init__(self, d_in=50, d_out=70, r=4):
        super().__init__()
        self.base = nn.Linear(d_in, d_out)
        self.A = nn.Parameter(torch.zeros(r, d_in))
        self.B = nn.Parameter(torch.zeros(d_out, r))

    def forward(self, x: Tensor["N", 50]) -> Tensor["N", 70]:
        return self.base(x) + x @ self.A @ self.B  # BUG


class WrongClassTokenEncoder(nn.Module):
    def __init__(self, dim=60):
        super().__init__()
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.layer = nn.TransformerEncoderLayer(dim, 4, 2 * dim, batch_first=True)
        self.head = nn.Linear(dim, 3)

    def forward(self, x: Tensor["B", "S", 60]) -> Tensor["B", 3]:
        cls = self.cls.expand(x.size(0), -1, -1)
        h = self.layer(torch.cat((cls, x), dim=1))
        return self.head(h)  # BUG


def wrong_span_scores(start: Tensor["B", "S"], end: Tensor["B", "S"]) -> Tensor["B", "S", "S"]:
    joint = start.unsqueeze(2) + end  # BUG
    allowed = torch.ones(joint.shape[1], joint.shape[2]).triu()
    return joint + (1 - allowed) * -1e9


def wrong_pack_sequences(parts: List[Tensor["L", 12]]) -> Tensor["3", "L", 12]:
    return torch.cat(parts)  # BUG


class WrongMemoryReader(nn.Module):
    def __init__(self, slots=20, width=32):
        super().__init__()
        self.memory = nn.Parameter(torch.zeros(slots, width))
        self.key = nn.Linear(40, slots)  # BUG

    def forward(self, query: Tensor["B", 40]) -> Tensor["B", 32]:
        k = self.key(query)
        w = (k @ self.memory.T).softmax(dim=-1)  # HURTS
        return w @ self.memory


def wrong_expected_reward(
    probs: Tensor["B", "A"], rewards: Tensor["A"], baseline: Optional[Tensor["B"]] = None
) -> Tensor["B"]:
    value = probs * rewards  # BUG
    if baseline is not None:
        value = value - baseline  # HURTS
    return value


def wrong_scaled_logits(h: Tensor["B", "S", "D"], emb: Tensor["V", "D"]) -> Tensor["B", "S", "V"]:
    scale = 1 / math.sqrt(h.shape[-1])
    return h @ emb * scale  # BUG


PROGRAMS = [
    WrongRMSScale,
    WrongSwiGLUBlock,
    WrongGroupedKV,
    wrong_rotary_angles,
    wrong_relative_bias_table,
    WrongEncoderLayer,
    WrongTextCNN,
    wrong_shift_tokens,
    wrong_sequence_log_prob,
    wrong_dpo_margin,
    wrong_distil,
    wrong_repetition_penalty,
    WrongLoraAdapter,
    WrongClassTokenEncoder,
    wrong_span_scores,
    wrong_pack_sequences,
    WrongMemoryReader,
    wrong_expected_reward,
    wrong_scaled_logits,
]

SIZES = {"wrong_sequence_log_prob": {}, "wrong_repetition_penalty": {"T": (3, 4, 5), "V": (11, 9, 13)}}
