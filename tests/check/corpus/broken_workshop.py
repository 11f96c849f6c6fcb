"""Recurrence, graphs, experts, losses and helpers of one's own, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int

import tessera as ts


class WrongSentimentLSTM(nn.Module):
    def __init__(self, vocab_size=2000, embed_dim=50, hidden_dim=64, num_classes=2):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(hidden_dim, num_classes)  # BUG

    def forward(self, tokens: ts.Tensor["B", "T", torch.int64]) -> ts.Tensor["B", 2]:
        embedded = self.embedding(tokens)
        output, (h, c) = self.lstm(embedded)
        pooled = output.max(dim=1).values
        return self.classifier(pooled)  # HURTS


class WrongCharGRU(nn.Module):
    def __init__(self, vocab=80, hidden=48):
        super().__init__()
        self.embed = nn.Embedding(vocab, hidden)
        self.gru = nn.GRU(hidden, hidden, num_layers=2, batch_first=True)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, x: ts.Tensor["B", "T", torch.int64]) -> ts.Tensor["B", 80]:
        h, _ = self.gru(self.embed(x))
        return self.out(h[-1])  # BUG


class WrongElmanCell(nn.Module):
    def __init__(self, n_in: int = 12, n_hidden: int = 20):
        super().__init__()
        self.n_hidden = n_hidden
        self.ih = nn.Linear(n_in, n_hidden)
        self.hh = nn.Linear(n_hidden, n_hidden)

    def forward(self, seq: ts.Tensor["T", "B", 12]) -> ts.Tensor["T", "B", 20]:
        h = torch.zeros(seq.shape[0], self.n_hidden)  # BUG
        outputs = []
        for step in seq:
            h = torch.tanh(self.ih(step) + self.hh(h))  # HURTS
            outputs.append(h)
        return torch.stack(outputs)


class WrongGraphConvolution(nn.Module):
    def __init__(self, d_in=16, d_out=24):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(d_in, d_out))
        self.bias = nn.Parameter(torch.zeros(d_in))  # BUG

    def forward(self, x: ts.Tensor["N", 16], adj: ts.Tensor["N", "N"]) -> ts.Tensor["N", 24]:
        support = x @ self.weight
        return adj @ support + self.bias  # HURTS


def wrong_normalise_adjacency(adj: ts.Tensor["N", "N"]) -> ts.Tensor["N", "N"]:
    deg = adj.sum(dim=1)
    inv = deg.clamp(min=1).rsqrt()
    return torch.diag(inv) @ adj @ inv  # BUG


def wrong_gather_messages(x: ts.Tensor["N", "D"], edges: ts.Tensor[2, "E", torch.int64]) -> ts.Tensor["N", "D"]:
    src, dst = edges[0], edges[1]
    out = torch.zeros_like(x)
    return out.index_add(1, dst, x[src])  # BUG


class WrongGateOfExperts(nn.Module):
    def __init__(self, dim=32, n_experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, n_experts)
        self.experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(n_experts)])

    def forward(self, x: ts.Tensor["B", 32]) -> ts.Tensor["B", 32]:
        weights = self.gate(x).softmax(dim=-1)
        outs = torch.stack([e(x) for e in self.experts], dim=1)
        return (weights.unsqueeze(1) * outs).sum(dim=1)  # BUG


def wrong_top2_dispatch(
    x: Float[torch.Tensor, "tokens dim"], logits: Float[torch.Tensor, "tokens experts"]
) -> Float[torch.Tensor, "experts dim"]:
    probs = logits.softmax(-1)
    top, idx = probs.topk(2, dim=-1)
    gates = torch.zeros_like(probs).scatter(-1, idx, top)
    return gates @ x  # BUG


def wrong_contrastive(
    img: Float[torch.Tensor, "b d"], txt: Float[torch.Tensor, "b d"], temperature: float = 0.07
) -> Float[torch.Tensor, ""]:
    img = F.normalize(img, dim=-1)
    txt = F.normalize(txt, dim=-1)
    logits = img @ txt.T / temperature
    labels = torch.arange(logits.shape[0])
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels[None])) / 2  # BUG


def wrong_masked_nll(
    logp: Float[torch.Tensor, "b t v"], ids: Int[torch.Tensor, "b t"], mask: Bool[torch.Tensor, "b t"]
) -> Float[torch.Tensor, "b"]:
    picked = logp.gather(-1, ids.unsqueeze(-1))  # BUG
    picked = picked * mask  # HURTS
    return -picked.sum(1) / mask.sum(1)


def wrong_standard_score(x: Float[torch.Tensor, "n f"]) -> Float[torch.Tensor, "n f"]:
    mu = x.mean(dim=1)  # BUG
    sd = x.std(dim=1, keepdim=True)
    return (x - mu) / sd  # HURTS


def wrong_squared_distances(a: Float[torch.Tensor, "n d"], b: Float[torch.Tensor, "m d"]) -> Float[torch.Tensor, "n m"]:
    aa = (a * a).sum(-1, keepdim=True)
    bb = (b * b).sum(-1).unsqueeze(1)  # BUG
    return aa + bb - 2 * a @ b.T  # HURTS


def _split_heads(x, n_heads):
    b, s, d = x.shape
    return x.view(b, s, n_heads, d // n_heads)  # BUG


def wrong_helper_attention_map(q: ts.Tensor["B", "S", 64], k: ts.Tensor["B", "S", 64]) -> ts.Tensor["B", 8, "S", "S"]:
    qh = _split_heads(q, 8)
    kh = _split_heads(k, 8)
    return (qh @ kh.transpose(-1, -2)).softmax(-1)


class WrongMixingLayer(nn.Module):
    def __init__(self, tokens=49, channels=60, hidden=90):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.token_mlp = nn.Sequential(nn.Linear(tokens, hidden), nn.GELU(), nn.Linear(hidden, tokens))

    def forward(self, x: ts.Tensor["B", 49, 60]) -> ts.Tensor["B", 49, 60]:
        y = self.norm(x)
        y = y.contiguous()  # BUG
        y = self.token_mlp(y)  # HURTS
        y = y.transpose(1, 2)
        return x + y


@dataclass
class Rollout:
    rewards: ts.Tensor["T", "N"]
    values: ts.Tensor["T+1", "N"]
    dones: ts.Tensor["T", "N"]


def wrong_td_errors(r: Rollout, gamma: float = 0.99) -> ts.Tensor["T", "N"]:
    next_values = r.values  # BUG
    return r.rewards + gamma * (1 - r.dones) * next_values - r.values[:-1]  # HURTS


class WrongQNetwork(nn.Module):
    def __init__(self, obs=8, actions=4):
        super().__init__()
        self.fc1 = nn.Linear(obs, 64)
        self.fc2 = nn.Linear(64, 64)
        self.value = nn.Linear(64, 1)
        self.advantage = nn.Linear(64, actions)

    def forward(self, s: ts.Tensor["B", 8], a: ts.Tensor["B", torch.int64]) -> ts.Tensor["B"]:
        h = F.relu(self.fc2(F.relu(self.fc1(s))))
        adv = self.advantage(h)
        q = self.value(h) + adv - adv.mean(dim=1, keepdim=True)
        return q.gather(1, a.unsqueeze(1))  # BUG


class WrongBilinearScore(nn.Module):
    def __init__(self, d1=10, d2=14):
        super().__init__()
        self.W = nn.Parameter(torch.zeros(d2, d1))  # BUG

    def forward(self, u: ts.Tensor["B", 10], v: ts.Tensor["B", 14]) -> ts.Tensor["B"]:
        return ((u @ self.W) * v).sum(-1)  # HURTS


def wrong_weighted_bag(
    table: ts.Tensor["V", "D"], ids: ts.Tensor["B", "L", torch.int64], w: ts.Tensor["B", "L"]
) -> ts.Tensor["B", "D"]:
    vecs = table[ids]
    return torch.einsum("bl,bld->ld", w, vecs)  # BUG


def wrong_ema_filter(x: ts.Tensor["B", "T", "C"], beta: float = 0.8) -> ts.Tensor["B", "T", "C"]:
    state = torch.zeros_like(x[:, 0])
    ys = []
    for t in range(x.shape[1]):
        state = beta * state + (1 - beta) * x[:, t]
        ys.append(state)
    return torch.stack(ys)  # BUG


def wrong_batch_from_dict(batch: dict[str, ts.Tensor["B", 20]]) -> ts.Tensor["B", 40]:
    left = batch["left"]
    right = batch["right"]
    return torch.cat([left, right])  # BUG


class WrongAttentionPooling(nn.Module):
    def __init__(self, dim=30):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, x: ts.Tensor["B", "S", 30], mask: ts.Tensor["B", "S", torch.bool]) -> ts.Tensor["B", 30]:
        s = self.score(x)  # BUG
        s = s.masked_fill(~mask, -1e4)  # HURTS
        a = s.softmax(dim=1)
        return (a.unsqueeze(-1) * x).sum(1)


def wrong_covariance_of(x: ts.Tensor["N", "D"]) -> ts.Tensor["D", "D"]:
    centred = x - x.mean(dim=0)
    return centred @ centred.T / (x.shape[0] - 1)  # BUG


def wrong_interpolate_keys(keys: ts.Tensor["B", "K", "D"], query: ts.Tensor["B", "D"]) -> ts.Tensor["B", "D"]:
    sim = torch.bmm(keys, query.unsqueeze(1)).squeeze(-1)  # BUG
    w = sim.softmax(-1)
    return (w.unsqueeze(-1) * keys).sum(dim=1)


PROGRAMS = [
    WrongSentimentLSTM,
    WrongCharGRU,
    WrongElmanCell,
    WrongGraphConvolution,
    wrong_normalise_adjacency,
    wrong_gather_messages,
    WrongGateOfExperts,
    wrong_top2_dispatch,
    wrong_contrastive,
    wrong_masked_nll,
    wrong_standard_score,
    wrong_squared_distances,
    wrong_helper_attention_map,
    WrongMixingLayer,
    wrong_td_errors,
    WrongQNetwork,
    WrongBilinearScore,
    wrong_weighted_bag,
    wrong_ema_filter,
    wrong_batch_from_dict,
    WrongAttentionPooling,
    wrong_covariance_of,
    wrong_interpolate_keys,
]

SIZES = {}
