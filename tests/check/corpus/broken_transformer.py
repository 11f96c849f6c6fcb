"""Transformers of every kind as modules, each with one bug of shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


@dataclass
class Config:
    vocab: int = 100
    block: int = 64
    layers: int = 2
    heads: int = 4
    dim: int = 32


class CausalSelfAttention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.dim = config.heads, config.dim
        self.c_attn = nn.Linear(config.dim, 3 * config.dim)
        self.c_proj = nn.Linear(config.dim, config.dim)
        self.register_buffer("bias", torch.tril(torch.ones(config.block, config.block))[None, None])

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.c_attn(x).split(self.dim, dim=2)
        k = k.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        q = q.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        v = v.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :t, :] == 0, float("-inf"))  # BUG
        y = F.softmax(att, dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c))


class GPTWithLongMask(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab, config.dim)
        self.blocks = nn.ModuleList([CausalSelfAttention(config) for _ in range(config.layers)])

    def forward(self, ids: Tensor["B", "T", torch.int64]) -> Tensor["B", "T", 32]:
        x = self.wte(ids)
        for block in self.blocks:
            x = x + block(x)
        return x


class Embeddings(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab, config.dim)
        self.positions = nn.Parameter(torch.zeros(1, config.block, config.dim))
        self.lm_head = nn.Linear(config.dim, config.vocab, bias=False)

    def forward(self, ids: Tensor["B", "T", torch.int64]) -> Tensor["B", "T", 100]:
        x = self.tokens(ids) + self.positions  # BUG
        return self.lm_head(x)


class TiedWrong(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab, config.dim)
        self.project = nn.Linear(config.dim, config.dim)

    def forward(self, ids: Tensor["B", "T", torch.int64]) -> Tensor["B", "T", 100]:
        x = self.project(self.tokens(ids))
        return x @ self.tokens.weight  # BUG


class MLPBlock(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, hidden, bias=False)
        self.up = nn.Linear(dim, hidden, bias=False)
        self.down = nn.Linear(dim, hidden, bias=False)  # BUG

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))  # HURTS


class LlamaBlock(nn.Module):
    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim)
        self.mlp = MLPBlock(dim, 88)

    def forward(self, x: Tensor["B", "T", 32]) -> Tensor["B", "T", 32]:
        return x + self.mlp(self.norm(x))


class PostNorm(nn.Module):
    def __init__(self, dim: int = 32, ff: int = 64) -> None:
        super().__init__()
        self.ff = nn.Sequential(nn.Linear(dim, ff), nn.GELU(), nn.Linear(ff, dim))
        self.norm = nn.LayerNorm(ff)  # BUG

    def forward(self, x: Tensor["B", "T", 32]) -> Tensor["B", "T", 32]:
        return self.norm(x + self.ff(x))  # HURTS


class Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(100, 32)
        self.segments = nn.Embedding(2, 32)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 2)
        self.pooler = nn.Linear(32, 32)
        self.classify = nn.Linear(32, 3)

    def forward(self, ids: Tensor["B", "T", torch.int64], segments: Tensor["B", "T", torch.int64]) -> Tensor["B", 3]:
        x = self.encoder(self.tokens(ids) + self.segments(segments))
        pooled = torch.tanh(self.pooler(x[0]))  # BUG
        return self.classify(pooled)


class Translator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Embedding(50, 32)
        self.target = nn.Embedding(60, 32)
        self.body = nn.Transformer(32, 4, 1, 1, 64, batch_first=True)
        self.out = nn.Linear(32, 60)

    def forward(
        self, source: Tensor["B", "S", torch.int64], target: Tensor["B", "T", torch.int64]
    ) -> Tensor["B", "T", 60]:
        mask = nn.Transformer.generate_square_subsequent_mask(source.shape[1])  # BUG
        return self.out(self.body(self.source(source), self.target(target), tgt_mask=mask))  # HURTS


class TorchAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.norm = nn.LayerNorm(32)

    def forward(self, x: Tensor["B", "T", 32]) -> Tensor["B", "T", 32]:
        y = self.attention(x, x, x)
        return self.norm(x + y[1])  # BUG


class ViT(nn.Module):
    def __init__(self, patch: int = 8, dim: int = 48) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(patch * patch, dim)  # BUG
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.head = nn.Linear(dim, 10)

    def forward(self, x: Tensor["B", 3, 32, 32]) -> Tensor["B", 10]:
        p = self.patch
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        x = self.embed(x)  # HURTS
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1)
        return self.head(x[:, 0])


class LayerScale(nn.Module):
    def __init__(self, dims: tuple[int, ...] = (16, 16, 24, 16)) -> None:  # BUG
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(16, 16) for _ in dims])
        self.scales = nn.ParameterList([nn.Parameter(1e-4 * torch.ones(d)) for d in dims])

    def forward(self, x: Tensor["B", "T", 16]) -> Tensor["B", "T", 16]:
        for layer, scale in zip(self.layers, self.scales, strict=True):
            x = x + scale * layer(x)  # HURTS
        return x


class Perceiver(nn.Module):
    def __init__(self, latents: int = 8, dim: int = 24) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, dim))
        self.kv = nn.Linear(40, 2 * dim)

    def forward(self, x: Tensor["B", "T", 40]) -> Tensor["B", 8, 24]:
        k, v = self.kv(x).chunk(2, -1)
        scores = torch.einsum("ld,btd->blt", self.latents, k)
        weights = scores.softmax(-1)
        return torch.einsum("blt,btd->btd", weights, v)  # BUG


class LastTokenHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(32, 100)

    def forward(self, x: Tensor["B", "T", 32], generating: bool) -> Tensor["B", 100]:
        if generating:
            return self.head(x[:, [-1], :])  # BUG
        return self.head(x.mean(dim=1))


class LowRankAdapter(nn.Module):
    def __init__(self, dim: int = 32, rank: int = 4) -> None:
        super().__init__()
        self.base = nn.Linear(dim, dim)
        self.a = nn.Parameter(torch.randn(rank, dim))
        self.b = nn.Parameter(torch.zeros(dim, rank))

    def forward(self, x: Tensor["B", "T", 32]) -> Tensor["B", "T", 32]:
        return self.base(x) + x @ (self.a @ self.b)  # BUG


PROGRAMS = [
    lambda: GPTWithLongMask(Config()),
    lambda: Embeddings(Config()),
    lambda: TiedWrong(Config()),
    LlamaBlock,
    PostNorm,
    Bert,
    Translator,
    TorchAttention,
    ViT,
    LayerScale,
    Perceiver,
    LastTokenHead,
    LowRankAdapter,
]
