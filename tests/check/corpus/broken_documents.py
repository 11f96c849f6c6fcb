"""Pages, letters, tables and search, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, TypedDict

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, S, W, R, C, D = ts.dims("B S W R C D")

PAD = 0


class WrongLineReader(nn.Module):
    """A line of writing to letters, column by column."""

    def __init__(self, height=32, letters=80, hidden=64):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d((2, 1)),
        )
        self.rnn = nn.LSTM(64 * height // 2, hidden, bidirectional=True, batch_first=True)  # BUG
        self.out = nn.Linear(2 * hidden, letters + 1)

    def forward(self, line: Float[torch.Tensor, "b 1 32 200"]) -> Float[torch.Tensor, "b 100 81"]:
        x = self.cnn(line)
        x = x.permute(0, 3, 1, 2).flatten(2)
        x, _ = self.rnn(x)  # HURTS
        return self.out(x).log_softmax(dim=-1)


class WrongLayoutEmbedding(nn.Module):
    """Where a word stands on the page."""

    def __init__(self, words=5000, dim=64, grid=1000):
        super().__init__()
        self.word = nn.Embedding(words, dim)
        self.x = nn.Embedding(grid, dim)
        self.y = nn.Embedding(grid, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, words: Tensor["B", "S", torch.int64], boxes: Tensor["B", "S", 4, torch.int64]
    ) -> Tensor["B", "S", 64]:
        left, top, right, bottom = boxes.unbind(-1)
        place = torch.cat([self.x(left), self.y(top), self.x(right), self.y(bottom)], dim=-1)  # BUG
        return self.norm(self.word(words) + place)  # HURTS


class Page(TypedDict):
    tokens: Tensor["B", "S", 32]
    mask: Tensor["B", "S", torch.bool]


def wrong_page_vector(page: Page) -> Tensor["B", 32]:
    weight = page["mask"].float()
    total = (page["tokens"] * weight.unsqueeze(-1)).sum(dim=1)
    return total / weight.sum(dim=1)  # BUG


class WrongTableRows(nn.Module):
    """Attention along the rows of a table, then along its columns."""

    def __init__(self, dim=48, heads=4):
        super().__init__()
        self.rows = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.columns = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, table: Tensor[B, R, C, 48]) -> Tensor[B, R, C, 48]:
        b, r, c, d = table.shape
        x = table.reshape(b * r, c, d)
        x = x + self.rows(x, x, x, need_weights=False)[0]
        y = x.view(b, r, c, d).transpose(1, 2).reshape(b * c, r, d)
        y = y + self.columns(y, y, y, need_weights=False)[0]
        return y.view(b, c, r, d)  # BUG


def wrong_late_interaction(
    query: Float[torch.Tensor, "b q d"], document: Float[torch.Tensor, "n s d"], mask: Bool[torch.Tensor, "n s"]
) -> Float[torch.Tensor, "b n"]:
    """For each word of the query the best word of the document."""
    score = torch.einsum("bqd,nsd->bnqs", query, document)
    score = score.masked_fill(~mask[:, :, None], -1e4)  # BUG
    return score.amax(dim=-1).sum(dim=-1)


class WrongSpanFinder(nn.Module):
    def __init__(self, dim=40, longest=8, kinds=6):
        super().__init__()
        self.longest = longest
        self.width = nn.Embedding(longest, 12)
        self.score = nn.Linear(2 * dim + 12, kinds)

    def spans(self, x):
        """(B, S, dim) -> (B, S - longest + 1, longest, 2 * dim)"""
        windows = x.unfold(1, self.longest, 1).transpose(2, 3)
        first = windows[:, :, :1].expand_as(windows)
        return torch.cat([first, windows], dim=-1)

    def forward(self, x: Tensor["B", "S", 40]) -> Tensor["B", "S-7", 8, 6]:
        spans = self.spans(x)
        width = self.width(torch.arange(self.longest))
        width = width.expand(spans.shape[0], self.longest, spans.shape[1], -1)  # BUG
        return self.score(torch.cat([spans, width], dim=-1))  # HURTS


def wrong_ctc_collapse(path: Tensor["B", "S", torch.int64]) -> Tensor["B", "S", torch.bool]:
    """Which steps begin another letter."""
    change = path[:, 1:] != path[:, :-1]
    first = torch.ones(path.shape[0], dtype=torch.bool)  # BUG
    return torch.cat([first, change], dim=1) & (path != PAD)  # HURTS


def wrong_bm25(counts: Tensor["D", "W"], query: Tensor["B", "W"], k: float = 1.5, b: float = 0.75) -> Tensor["B", "D"]:
    length = counts.sum(dim=1, keepdim=True)
    seen = (counts > 0).sum(dim=0)
    rare = torch.log((counts.shape[0] - seen + 0.5) / (seen + 0.5) + 1)
    norm = k * (1 - b + b * length / length.mean())
    weight = rare * counts * (k + 1) / (counts + norm)
    return query @ weight  # BUG


class WrongHandwritingDecoder(nn.Module):
    """Attention over columns at every letter."""

    def __init__(self, dim=64, letters=70):
        super().__init__()
        self.embed = nn.Embedding(letters, dim)
        self.cell = nn.GRUCell(2 * dim, dim)
        self.key = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, letters)

    def forward(self, columns: Tensor[B, W, 64], text: Tensor[B, 12, torch.int64]) -> Tensor[B, 12, 70]:
        state = columns.mean(dim=1)
        keys, outputs = self.key(columns), []
        for t in range(text.shape[1]):
            weight = (keys @ state.unsqueeze(-1)).softmax(dim=1)
            context = (weight * columns).sum(dim=1)
            state = self.cell(self.embed(text[:, t]), state)  # BUG
            outputs.append(self.out(state))
        return torch.stack(outputs, dim=1)


def wrong_hash_bags(
    ids: Int[torch.Tensor, "b n"], table: Float[torch.Tensor, "buckets d"]
) -> Float[torch.Tensor, "b d"]:
    vectors = table[ids % table.shape[0]]
    weight = torch.where(ids == PAD, 0.0, 1.0)
    return (vectors * weight).sum(dim=1)  # BUG


SIZES = {"WrongSpanFinder": {"S": (11, 13, 9)}}


PROGRAMS = [
    WrongLineReader,
    WrongLayoutEmbedding,
    wrong_page_vector,
    WrongTableRows,
    wrong_late_interaction,
    WrongSpanFinder,
    wrong_ctc_collapse,
    wrong_bm25,
    WrongHandwritingDecoder,
    wrong_hash_bags,
]
