"""Markets and recommendation: returns, portfolios, orders, users and items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

B, T, A, K = ts.dims("B T A K")


@dataclass
class MarketConfig:
    assets: int = 20
    window: int = 32
    factors: int = 5
    hidden: int = 48
    heads: int = 4


def log_returns(prices):
    """(..., T, A) -> (..., T - 1, A)"""
    return prices[..., 1:, :].log() - prices[..., :-1, :].log()


def rolling(x, width):
    """(..., T) -> (..., T - width + 1, width)"""
    return x.unfold(-1, width, 1)


def portfolio_variance(prices: Tensor["B", "T", "A"], weight: Tensor["B", "A"]) -> Tensor["B"]:
    returns = log_returns(prices)
    centred = returns - returns.mean(dim=1, keepdim=True)
    covariance = centred.transpose(1, 2) @ centred / returns.shape[1]
    return torch.einsum("ba,bac,bc->b", weight, covariance, weight)


def sharpe_ratio(returns: Tensor["B", "T", "A"], weight: Tensor["B", "T", "A"]) -> Tensor["B"]:
    gains = (returns * weight).sum(dim=-1)
    mean = gains.mean(dim=1)
    spread = gains.std(dim=1)
    return mean / (spread + 1e-8)


class FactorModel(nn.Module):
    def __init__(self, cfg: MarketConfig = MarketConfig()):
        super().__init__()
        self.load = nn.Linear(cfg.window, cfg.factors)
        self.price = nn.Parameter(torch.randn(cfg.factors))
        self.bias = nn.Parameter(torch.zeros(cfg.assets))

    def forward(self, history: Tensor["B", 32, 20]) -> Tensor["B", 20]:
        loadings = self.load(history.transpose(1, 2))
        return loadings @ self.price + self.bias


class CrossAssetAttention(nn.Module):
    def __init__(self, cfg: MarketConfig = MarketConfig()):
        super().__init__()
        self.heads, self.width = cfg.heads, cfg.hidden // cfg.heads
        self.embed = nn.Linear(cfg.window, cfg.hidden)
        self.qkv = nn.Linear(cfg.hidden, 3 * cfg.hidden)
        self.out = nn.Linear(cfg.hidden, 1)

    def forward(self, history: Tensor["B", 32, 20]) -> Tensor["B", 20]:
        x = self.embed(history.transpose(1, 2))
        b, a, _ = x.shape
        qkv = self.qkv(x).view(b, a, 3, self.heads, self.width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        y = y.transpose(1, 2).reshape(b, a, self.heads * self.width)
        signal = self.out(y).squeeze(-1)
        scale = torch.ones(self.heads, self.width).softmax(dim=-1)
        mixed = torch.einsum("bhad,hd->ba", q, scale)
        return signal + mixed


def exponential_moving(x: Tensor["B", "T"], decay: float = 0.9) -> Tensor["B", "T"]:
    state = x[:, 0]
    rows = []
    for t in range(5):
        state = decay * state + (1 - decay) * x[:, t]
        rows.append(state)
    head = torch.stack(rows, dim=1)
    tail = decay * x[:, 5:] + (1 - decay) * x[:, 4:-1]
    return torch.cat([head, tail], dim=1)


class OrderBookNet(nn.Module):
    """Ten levels, price and volume on both sides: (B, T, 40)."""

    def __init__(self, levels=10, width=16, classes=3):
        super().__init__()
        self.pair = nn.Conv2d(1, width, (1, 2), stride=(1, 2))
        self.side = nn.Conv2d(width, width, (1, 2), stride=(1, 2))
        self.level = nn.Conv2d(width, width, (1, levels))
        self.lstm = nn.LSTM(width, 2 * width, batch_first=True)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, book: Tensor["B", "T", 40]) -> Tensor["B", 3]:
        x = book.unsqueeze(1)
        for conv in (self.pair, self.side, self.level):
            x = F.leaky_relu(conv(x), 0.01)
        x = x.squeeze(-1).transpose(1, 2)
        _, (hidden, _) = self.lstm(x)
        return self.head(hidden[-1])


class SequentialRecommender(nn.Module):
    def __init__(self, items=500, dim=32, longest=20):
        super().__init__()
        self.items = nn.Embedding(items, dim, padding_idx=0)
        self.place = nn.Embedding(longest, dim)
        layer = nn.TransformerEncoderLayer(dim, 4, 64, batch_first=True, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(
        self,
        clicks: Tensor["B", 20, torch.int64],
        wanted: Tensor["B", 20, torch.int64],
        other: Tensor["B", 20, "N", torch.int64],
    ) -> tuple[Tensor["B", 20], Tensor["B", 20, "N"]]:
        place = torch.arange(clicks.shape[1])
        x = self.items(clicks) + self.place(place)
        x = self.encoder(x)
        good = (x * self.items(wanted)).sum(dim=-1)
        bad = (x.unsqueeze(2) * self.items(other)).sum(dim=-1)
        return good, bad


class FieldAwareCrosses(nn.Module):
    def __init__(self, fields=6, vocab=100, dim=8):
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(vocab, dim) for _ in range(fields)])
        first, second = torch.triu_indices(fields, fields, offset=1)
        self.register_buffer("first", first)
        self.register_buffer("second", second)
        self.deep = nn.Linear(fields * (fields - 1) // 2, 16)
        self.out = nn.Linear(16, 1)

    def forward(self, features: Tensor["B", 6, torch.int64]) -> Tensor["B"]:
        rows = [table(features[:, i]) for i, table in enumerate(self.tables)]
        x = torch.stack(rows, dim=1)
        products = (x[:, self.first] * x[:, self.second]).sum(dim=-1)
        return self.out(F.relu(self.deep(products))).squeeze(-1)


def list_wise_loss(
    scores: Float[torch.Tensor, "batch items"], gains: Float[torch.Tensor, "batch items"]
) -> Float[torch.Tensor, "batch"]:
    order = gains.argsort(dim=-1, descending=True)
    ranked = scores.gather(-1, order)
    tail = torch.logcumsumexp(ranked.flip(-1), dim=-1)
    terms = tail.flip(-1) - ranked
    return terms.sum(dim=-1)


def user_history(
    tables: Dict[str, Tensor["V", "D"]], clicks: Tensor["B", "H", torch.int64], weight: Tensor["B", "H"]
) -> Tensor["B", "D"]:
    rows = F.embedding(clicks, tables["items"])
    share = weight / weight.sum(dim=-1, keepdim=True)
    return torch.bmm(share.unsqueeze(1), rows).squeeze(1)


SIZES = {"exponential_moving": {"T": (11, 13, 9)}}


PROGRAMS = [
    portfolio_variance,
    sharpe_ratio,
    FactorModel,
    CrossAssetAttention,
    exponential_moving,
    OrderBookNet,
    SequentialRecommender,
    FieldAwareCrosses,
    list_wise_loss,
    user_history,
]
