"""What stands between models: dtypes, helpers, registries, configurations."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, S, D, E, M = ts.dims("B S D E M")

WIDTH, HEADS, LAYERS = 48, 6, 3


@dataclass
class EncoderConfig:
    dim: int = 48
    heads: int = 6
    layers: int = 3
    hidden: int = 96
    kv_dim: int = 40


def masked_mean(x, mask):
    """(B, S, D), (B, S) -> (B, D)"""
    weight = mask.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


def lengths_to_mask(lengths, longest):
    """(B,), int -> (B, longest), True where there is something"""
    return torch.arange(longest) < lengths[:, None]


class LengthPooler(nn.Module):
    def __init__(self, dim=WIDTH, out=12):
        super().__init__()
        self.out = nn.Linear(dim, out)

    def forward(self, x: Tensor[B, S, 48], lengths: Tensor[B, torch.int64]) -> Tensor[B, 12]:
        mask = lengths_to_mask(lengths, x.shape[1])
        return self.out(masked_mean(x, mask))


def split(x, heads):
    """(B, S, H*D) -> (B, H, S, D)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, heads, mask=None):
    """(B, S, D) each -> (B, S, D)"""
    q, k, v = (split(t, heads) for t in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out.transpose(1, 2).flatten(2)


class CrossBlock(nn.Module):
    def __init__(self, cfg: EncoderConfig = EncoderConfig()):
        super().__init__()
        self.heads = cfg.heads
        self.q = nn.Linear(cfg.dim, cfg.dim)
        self.k = nn.Linear(cfg.kv_dim, cfg.dim)
        self.v = nn.Linear(cfg.kv_dim, cfg.dim)
        self.o = nn.Linear(cfg.dim, cfg.dim)

    def forward(
        self,
        x: Tensor["B", "S", 48],
        memory: Tensor["B", "M", 40],
        padding: Optional[Tensor["B", "M", torch.bool]] = None,
    ) -> Tensor["B", "S", 48]:
        mask = None
        if padding is not None:
            mask = ~padding[:, None, None, :]
        y = attend(self.q(x), self.k(memory), self.v(memory), self.heads, mask)
        return x + self.o(y)


class Residual(nn.Module):
    def __init__(self, dim, inner):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(dim), inner

    def forward(self, x, *args):
        return x + self.inner(self.norm(x), *args)


class StackOfEncoders(nn.Module):
    def __init__(self, dim=48, hidden=96, layers=4):
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(layers):
            wide = hidden if i < layers - 1 else 2 * hidden
            up = nn.Linear(dim, wide)
            down = nn.Linear(wide, dim)
            self.layers.append(Residual(dim, nn.Sequential(up, nn.GELU(), down)))
        self.final = nn.LayerNorm(dim)

    def forward(self, x: Tensor["B", "S", 48]) -> Tensor["B", "S", 48]:
        for layer in self.layers:
            x = layer(x)
        return self.final(x)


def running_statistics(
    count: Float[torch.Tensor, ""], mean: Float[torch.Tensor, "dim"], batch: Float[torch.Tensor, "n dim"]
) -> tuple[Float[torch.Tensor, ""], Float[torch.Tensor, "dim"]]:
    n = batch.shape[0]
    delta = batch.mean(dim=0) - mean
    total = count + n
    return total, mean + delta * n / total


def quantise_weights(weight: Tensor["O", "I"]) -> tuple[Tensor["O", "I", torch.int8], Tensor["O", 1]]:
    scale = weight.abs().amax(dim=1, keepdim=True) / 127
    whole = (weight / scale).round().clamp(-127, 127).to(torch.int8)
    return whole, scale


class DequantisedLinear(nn.Module):
    def __init__(self, cin=32, cout=20, group=8):
        super().__init__()
        self.group = group
        self.register_buffer("weight", torch.zeros(cout, cin, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(cout, cin // group))
        self.bias = nn.Parameter(torch.zeros(cout))

    def forward(self, x: Tensor["B", 32]) -> Tensor["B", 20]:
        grouped = self.weight.float().unflatten(1, (-1, self.group))
        weight = (grouped * self.scale.unsqueeze(-1)).flatten(1)
        return F.linear(x, weight, self.bias)


def ensemble_vote(logits: list[Tensor["B", "C"]], weight: Tensor[3]) -> Tensor["B", torch.int64]:
    votes = torch.stack([one.softmax(dim=-1) for one in logits])
    mixed = (votes * weight[:, None, None]).sum(dim=0)
    return mixed.argmax(dim=-1)


class Registry(nn.Module):
    """One head for each task, by name."""

    def __init__(self, dim=48, tasks=(("tone", 3), ("topic", 14), ("score", 1))):
        super().__init__()
        self.body = nn.Linear(dim, dim)
        heads = OrderedDict()
        for name, classes in tasks:
            heads[name] = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, classes))
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor["B", "S", 48]) -> tuple[Tensor["B", 3], Tensor["B", 14], Tensor["B"]]:
        x = torch.tanh(self.body(x)).mean(dim=1)
        made = {name: head(x) for name, head in self.heads.items()}
        return made["tone"], made["topic"], made["score"].squeeze(-1)


class HalfPrecisionHead(nn.Module):
    def __init__(self, dim=48, classes=8):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.proj = nn.Linear(dim, classes)

    def forward(self, x: Tensor[B, 48, torch.float32], target: Tensor[B, torch.int64]) -> Tensor[B, torch.float32]:
        y = self.norm(x).to(torch.float32)
        logits = self.proj(y)
        return F.cross_entropy(logits, target, reduction="none")


def align_spans(
    hidden: Tensor["B", "S", "D"], spans: Tensor["B", "M", 2, torch.int64], weight: Tensor["D", "D"]
) -> Tensor["B", "M", "D"]:
    start, end = spans.unbind(dim=-1)
    pick = lambda i: hidden.gather(1, i.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
    return torch.tanh((pick(start) + pick(end)) @ weight)


PROGRAMS = [
    LengthPooler,
    CrossBlock,
    StackOfEncoders,
    running_statistics,
    quantise_weights,
    DequantisedLinear,
    ensemble_vote,
    Registry,
    HalfPrecisionHead,
    align_spans,
]
