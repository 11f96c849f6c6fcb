"""Transformers of every kind as modules, all of them right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn
from torch.func import functional_call


@dataclass
class Config:
    vocab: int = 100
    block: int = 64
    layers: int = 2
    heads: int = 4
    dim: int = 32


class CausalAttention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.dim = config.heads, config.dim
        self.c_attn = nn.Linear(config.dim, 3 * config.dim)
        self.c_proj = nn.Linear(config.dim, config.dim)
        self.register_buffer("bias", torch.tril(torch.ones(config.block, config.block))[None, None])

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = (
            y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in self.c_attn(x).split(self.dim, dim=2)
        )
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf"))
        y = F.softmax(att, dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c))


class Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.attn = CausalAttention(config)
        self.mlp = nn.ModuleDict(
            {"fc": nn.Linear(config.dim, 4 * config.dim), "proj": nn.Linear(4 * config.dim, config.dim)}
        )

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp.proj(F.gelu(self.mlp["fc"](self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab, config.dim)
        self.wpe = nn.Embedding(config.block, config.dim)
        self.h = nn.ModuleList([Layer(config) for _ in range(config.layers)])
        self.lm_head = nn.Linear(config.dim, config.vocab, bias=False)
        self.wte.weight = self.lm_head.weight

    def forward(
        self, ids: Tensor["B", "T", torch.int64], targets: Optional[Tensor["B", "T", torch.int64]] = None
    ) -> tuple[Tensor["B", "T", 100] | Tensor["B", 1, 100], Tensor[()] | None]:
        _, t = ids.size()
        assert t <= self.config.block, f"{t} is longer than {self.config.block}"
        x = self.wte(ids) + self.wpe(torch.arange(t, dtype=torch.long, device=ids.device))
        for block in self.h:
            x = block(x)
        if targets is None:
            return self.lm_head(x[:, [-1], :]), None
        logits = self.lm_head(x)
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


class CroppedGPT(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gpt = GPT(config)

    @torch.no_grad()
    def forward(self, ids: Tensor["B", "T", torch.int64]) -> Tensor["B", "T+3", torch.int64]:
        for _ in range(3):
            recent = ids if ids.size(1) <= 8 else ids[:, -8:]
            logits, _ = self.gpt(recent)
            ids = torch.cat((ids, torch.multinomial(logits[:, -1].softmax(-1), 1)), dim=1)
        return ids


class TiedRight(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab, config.dim)
        self.scale = config.dim**0.5

    def forward(self, ids: Tensor["B", "T", torch.int64]) -> Tensor["B", "T", 100]:
        return (self.tokens(ids) * self.scale) @ self.tokens.weight.T


class RMS(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor["...", "D"]) -> Tensor["...", "D"]:
        return (x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)).type_as(x) * self.weight


class LlamaBlockRight(nn.Module):
    def __init__(self, dim: int = 32, multiple: int = 8) -> None:
        super().__init__()
        hidden = multiple * ((int(2 * 4 * dim / 3) + multiple - 1) // multiple)
        self.norm = RMS(dim)
        self.w1, self.w2, self.w3 = nn.Linear(dim, hidden), nn.Linear(hidden, dim), nn.Linear(dim, hidden)

    def forward(self, x: Tensor["B", "T", 32]) -> Tensor["B", "T", 32]:
        h = self.norm(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class BertRight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(100, 32)
        self.positions = nn.Embedding(64, 32)
        self.register_buffer("position_ids", torch.arange(64).expand((1, -1)), persistent=False)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.classify = nn.Linear(32, 3)

    def forward(
        self, ids: Tensor["B", "T", torch.int64], padding: Optional[Tensor["B", "T", torch.bool]] = None
    ) -> Tensor["B", 3]:
        x = self.tokens(ids) + self.positions(self.position_ids[:, : ids.shape[1]])
        x = self.encoder(x, src_key_padding_mask=padding)
        return self.classify(x[:, 0])


class TranslatorRight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Embedding(50, 32)
        self.target = nn.Embedding(60, 32)
        self.body = nn.Transformer(32, 4, 1, 1, 64, batch_first=True)
        self.out = nn.Linear(32, 60)

    def forward(
        self, source: Tensor["B", "S", torch.int64], target: Tensor["B", "T", torch.int64]
    ) -> Tensor["B", "T", 60]:
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.out(self.body(self.source(source), self.target(target), tgt_mask=mask))


class TorchAttentionRight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, kdim=20, vdim=20, batch_first=True)
        self.norm = nn.LayerNorm(32)

    def forward(
        self, x: Tensor["B", "T", 32], memory: Tensor["B", "S", 20]
    ) -> tuple[Tensor["B", "T", 32], Tensor["B", "T", "S"]]:
        y, weights = self.attention(x, memory, memory)
        return self.norm(x + y), weights


class ViTRight(nn.Module):
    def __init__(self, patch: int = 8, dim: int = 48) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.cls = nn.Parameter(torch.zeros(dim))
        self.head = nn.Linear(dim, 10)

    def forward(self, x: Tensor["B", 3, 32, 32]) -> Tensor["B", 10]:
        b, c, h, w = x.shape
        p = self.patch
        x = x.view(b, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * p * p)
        x = torch.cat([self.cls.view(1, 1, -1).expand(b, 1, -1), self.embed(x)], 1)
        return self.head(x[:, 0] + x[:, 1:].mean(1))


class WindowAttention(nn.Module):
    def __init__(self, window: int = 4, dim: int = 12) -> None:
        super().__init__()
        self.window = window
        self.mix = nn.Linear(window * window, window * window)

    def forward(self, x: Tensor["B", "4*H", "4*W", 12]) -> Tensor["B", "4*H", "4*W", 12]:
        b, h, w, c = x.shape
        n = self.window
        x = x.roll((-n // 2, -n // 2), dims=(1, 2))
        x = x.view(b, h // n, n, w // n, n, c).transpose(2, 3).reshape(-1, n * n, c)
        x = self.mix(x.mT).mT
        x = x.reshape(b, h // n, w // n, n, n, c).transpose(2, 3).reshape(b, h, w, c)
        return x.roll((n // 2, n // 2), dims=(1, 2))


class PatchMerging(nn.Module):
    def __init__(self, dim: int = 12) -> None:
        super().__init__()
        self.reduce = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor["B", "2*H", "2*W", 12]) -> Tensor["B", "H", "W", 24]:
        parts = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduce(torch.cat(parts, -1))


class LayerScaleRight(nn.Module):
    def __init__(self, depth: int = 4, dim: int = 16) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(dim, dim) for _ in range(depth)])
        self.scales = nn.Parameter(1e-4 * torch.ones(depth, dim))

    def forward(self, x: Tensor["B", "T", 16]) -> Tensor["B", "T", 16]:
        for layer, scale in zip(self.layers, self.scales, strict=True):
            x = x + scale * layer(x)
        return x


class PerceiverRight(nn.Module):
    def __init__(self, latents: int = 8, dim: int = 24) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, dim))
        self.kv = nn.Linear(40, 2 * dim)

    def forward(self, x: Tensor["B", "T", 40]) -> Tensor["B", 8, 24]:
        k, v = self.kv(x).chunk(2, -1)
        return F.scaled_dot_product_attention(self.latents.expand(x.shape[0], -1, -1), k, v)


class LowRankAdapterRight(nn.Module):
    def __init__(self, dim: int = 32, rank: int = 4) -> None:
        super().__init__()
        self.base = nn.Linear(dim, dim)
        self.a = nn.Parameter(torch.randn(rank, dim))
        self.b = nn.Parameter(torch.zeros(dim, rank))

    def forward(self, x: Tensor["B", "T", 32]) -> Tensor["B", "T", 32]:
        weights = {"weight": self.base.weight + self.b @ self.a, "bias": self.base.bias}
        return functional_call(self.base, weights, (x,))


class SharedLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = LlamaBlockRight()
        self.halt = nn.Linear(32, 1)

    def forward(self, x: Tensor["B", "T", 32]) -> Tensor["B", "T", 32]:
        out, left = torch.zeros_like(x), torch.ones_like(x[..., :1])
        for _ in range(3):
            x = self.block(x)
            p = self.halt(x).sigmoid()
            out, left = out + left * p * x, left * (1 - p)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
            return out + left * x


PROGRAMS = [
    lambda: GPT(Config()),
    lambda: CroppedGPT(Config(layers=1)),
    lambda: TiedRight(Config()),
    lambda: RMS(16),
    LlamaBlockRight,
    BertRight,
    TranslatorRight,
    TorchAttentionRight,
    ViTRight,
    WindowAttention,
    PatchMerging,
    LayerScaleRight,
    PerceiverRight,
    LowRankAdapterRight,
    SharedLayers,
]

SIZES = {"RMS": {"D": (16,)}}
