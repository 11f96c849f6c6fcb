"""Text, sequences to sequences, experts, each with one line wrong."""

from __future__ import annotations

import math
from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor


class WrongSeq2SeqDecoder(nn.Module):
    def __init__(self, vocab=600, dim=64, hidden=96):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.query = nn.Linear(hidden, hidden)
        self.cell = nn.GRUCell(dim, hidden)  # BUG
        self.out = nn.Linear(2 * hidden, vocab)

    def step(self, token, state, memory):
        scores = torch.einsum("bh,bsh->bs", self.query(state), memory)
        context = torch.einsum("bs,bsh->bh", scores.softmax(-1), memory)
        state = self.cell(torch.cat([self.embed(token), context], dim=-1), state)  # HURTS
        return self.out(torch.cat([state, context], dim=-1)), state

    def forward(
        self, first: Tensor["B", torch.int64], memory: Tensor["B", "S", 96], steps: int = 3
    ) -> Tensor["B", 3, 600]:
        token, state, logits = first, memory.mean(dim=1), []
        for _ in range(steps):
            scores, state = self.step(token, state, memory)
            logits.append(scores)
            token = scores.argmax(dim=-1)
        return torch.stack(logits, dim=1)


class WrongGroupedHeads(nn.Module):
    def __init__(self, dim=128, heads=8, groups=2):
        super().__init__()
        self.heads, self.groups, self.width = heads, groups, dim // heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, groups * self.width)
        self.v = nn.Linear(dim, groups * self.width)
        self.o = nn.Linear(dim, dim)

    def split(self, x, heads):
        return x.unflatten(-1, (heads, self.width)).transpose(1, 2)

    def forward(self, x: Tensor["B", "S", 128]) -> Tensor["B", "S", 128]:
        q = self.split(self.q(x), self.heads)
        k = self.split(self.k(x), self.groups)
        v = self.split(self.v(x), self.groups)
        repeats = self.heads // self.groups
        k = k.repeat_interleave(repeats, dim=2)  # BUG
        v = v.repeat_interleave(repeats, dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v)  # HURTS
        return self.o(mixed.transpose(1, 2).flatten(2))


class Hypotheses(NamedTuple):
    tokens: Tensor["B", "K", "T", torch.int64]
    scores: Tensor["B", "K"]


def wrong_expand_beam(state: Hypotheses, log_probs: Tensor["B", "K", 50]) -> Tensor["B", "K"]:
    total = state.scores + log_probs  # BUG
    beams = state.scores.shape[1]
    best, _ = total.flatten(1).topk(beams, dim=-1)
    return best


def wrong_copy_distribution(
    vocabulary: Float[torch.Tensor, "b t v"],
    attention: Float[torch.Tensor, "b t s"],
    source: Int[torch.Tensor, "b s"],
    gate: Float[torch.Tensor, "b t"],
) -> Float[torch.Tensor, "b t v"]:
    p = gate.unsqueeze(-1)
    generated = p * vocabulary.softmax(dim=-1)
    index = source.unsqueeze(1).expand(-1, vocabulary.shape[2], -1)  # BUG
    return generated.scatter_add(2, index, (1 - p) * attention)  # HURTS


class WrongSwitchLayer(nn.Module):
    def __init__(self, dim=48, experts=6, hidden=80):
        super().__init__()
        self.router = nn.Linear(dim, experts)
        self.w_in = nn.Parameter(torch.randn(experts, dim, hidden) / dim**0.5)
        self.w_out = nn.Parameter(torch.randn(experts, dim, hidden) / hidden**0.5)  # BUG

    def forward(self, x: Tensor["T", 48]) -> Tensor["T", 48]:
        gates = self.router(x).softmax(dim=-1)
        hidden = torch.einsum("td,edh->teh", x, self.w_in).relu()
        outs = torch.einsum("teh,ehd->ted", hidden, self.w_out)  # HURTS
        return torch.einsum("te,ted->td", gates, outs)


class WrongCharCNN(nn.Module):
    def __init__(self, chars=90, dim=16, filters=(32, 48, 64), labels=3):
        super().__init__()
        self.embed = nn.Embedding(chars, dim)
        self.convs = nn.ModuleList([nn.Conv1d(dim, f, k) for k, f in zip((3, 4, 5), filters)])
        self.out = nn.Linear(sum(filters), labels)

    def forward(self, text: Tensor["B", 40, torch.int64]) -> Tensor["B", 3]:
        x = self.embed(text)  # BUG
        pooled = [F.relu(conv(x)).amax(dim=-1) for conv in self.convs]  # HURTS
        return self.out(torch.cat(pooled, dim=-1))


def wrong_span_representations(
    hidden: Float[torch.Tensor, "b s d"], starts: Int[torch.Tensor, "b n"], ends: Int[torch.Tensor, "b n"]
) -> Float[torch.Tensor, "b n 2*d"]:
    def pick(index):
        return hidden.gather(1, index.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))

    return torch.cat([pick(starts), pick(ends)], dim=1)  # BUG


class WrongRelativeScores(nn.Module):
    def __init__(self, heads=4, width=16, furthest=10):
        super().__init__()
        self.furthest = furthest
        self.table = nn.Embedding(2 * furthest + 1, heads * width)  # BUG

    def forward(self, q: Tensor["B", 4, "S", 16], k: Tensor["B", 4, "S", 16]) -> Tensor["B", 4, "S", "S"]:
        place = torch.arange(q.shape[2])
        apart = (place[None, :] - place[:, None]).clamp(-self.furthest, self.furthest) + self.furthest
        by_place = torch.einsum("bhid,ijd->bhij", q, self.table(apart))  # HURTS
        return (q @ k.transpose(-1, -2) + by_place) / math.sqrt(q.shape[-1])


def wrong_masked_average(
    hidden: Float[torch.Tensor, "b s d"], mask: Optional[Bool[torch.Tensor, "b s"]] = None
) -> Float[torch.Tensor, "b d"]:
    if mask is None:
        return hidden.mean(dim=1)
    weight = mask.to(hidden.dtype)
    total = torch.einsum("bsd,bs->bd", hidden, weight)
    return total / weight.sum(dim=0).clamp(min=1)  # BUG


class WrongLanguageModel(nn.Module):
    def __init__(self, vocab=500, dim=72, layers=3, heads=6, longest=128):
        super().__init__()
        self.tokens = nn.Embedding(vocab, dim)
        self.places = nn.Embedding(dim, longest)  # BUG
        self.blocks = nn.ModuleList(
            [nn.TransformerEncoderLayer(dim, heads, 4 * dim, batch_first=True, norm_first=True) for _ in range(layers)]
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, ids: Tensor["B", 64, torch.int64]) -> Tensor["B", 64, 500]:
        place = torch.arange(ids.shape[1])
        x = self.tokens(ids) + self.places(place)  # HURTS
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        for block in self.blocks:
            x = block(x, src_mask=mask)
        return self.norm(x) @ self.tokens.weight.T


PROGRAMS = [
    WrongSeq2SeqDecoder,
    WrongGroupedHeads,
    wrong_expand_beam,
    wrong_copy_distribution,
    WrongSwitchLayer,
    WrongCharCNN,
    wrong_span_representations,
    WrongRelativeScores,
    wrong_masked_average,
    WrongLanguageModel,
]
SIZES = {"wrong_expand_beam": {"K": (4, 3, 5)}, "wrong_copy_distribution": {"v": (37, 40, 41)}}
