"""Cells of a notebook: series, graphs, policies, statistics and small helpers, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

import tessera
import tessera as ts
from tessera import Tensor


def wrong_linear_regression(X: Tensor["N", "D"], y: Tensor["N"], w: Tensor["D"], b: Tensor[()]) -> Tensor[()]:
    pred = X @ w + b
    resid = pred - y.unsqueeze(1)  # BUG
    return (resid @ resid) / X.shape[0]


def wrong_logistic_grad(X: Tensor["N", "D"], y: Tensor["N"], w: Tensor["D"]) -> Tensor["D"]:
    p = torch.sigmoid(X @ w)
    return X @ (p - y) / X.shape[0]  # BUG


def wrong_softmax_regression(x: Tensor["N", 784], W: Tensor[784, 10], b: Tensor[10]) -> Tensor["N", 10]:
    logits = W @ x + b  # BUG
    return logits.softmax(dim=1)


class WrongRegressor(nn.Module):
    def __init__(self, in_features: int = 13, hidden: int = 32):
        super().__init__()
        self.hidden = nn.Linear(in_features, hidden)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x: Tensor["N", 13]) -> Tensor["N"]:
        h = self.drop(torch.relu(self.hidden(x)))
        return self.out(h)  # BUG


class WrongForecastLSTM(nn.Module):
    def __init__(self, features=5, hidden=32, horizon=7):
        super().__init__()
        self.lstm = nn.LSTM(hidden, features, batch_first=True)  # BUG
        self.head = nn.Linear(hidden, horizon)

    def forward(self, series: Tensor["B", "T", 5]) -> Tensor["B", 7]:
        out, _ = self.lstm(series)  # HURTS
        return self.head(out[:, -1, :])


class WrongEncoderDecoderGRU(nn.Module):
    def __init__(self, src=10, tgt=6, hidden=24):
        super().__init__()
        self.encoder = nn.GRU(src, hidden, batch_first=True)
        self.decoder = nn.GRUCell(tgt, hidden)
        self.project = nn.Linear(hidden, tgt)

    def forward(self, x: Tensor["B", "T", 10], y: Tensor["B", 4, 6]) -> Tensor["B", 4, 6]:
        _, h = self.encoder(x)
        h = h.squeeze(1)  # BUG
        outputs = []
        for t in range(4):
            h = self.decoder(y[:, t], h)  # HURTS
            outputs.append(self.project(h))
        return torch.stack(outputs, dim=1)


class WrongTemporalConv(nn.Module):
    def __init__(self, features=9, ch=16):
        super().__init__()
        self.conv = nn.Conv1d(features, ch, kernel_size=5, padding=2)
        self.fc = nn.Linear(ch, 3)

    def forward(self, x: Tensor["B", "T", 9]) -> Tensor["B", "T", 3]:
        h = F.relu(self.conv(x.transpose(1, 2)))
        return self.fc(h)  # BUG


def wrong_lag_features(x: Tensor["T", "D"]) -> Tensor["T - 1", "2 * D"]:
    now = x  # BUG
    before = x[:-1]
    return torch.cat([now, before], dim=1)  # HURTS


class WrongSageLayer(nn.Module):
    def __init__(self, d_in=20, d_out=30):
        super().__init__()
        self.lin = nn.Linear(d_in, d_out)  # BUG

    def forward(self, x: Tensor["N", 20], adj: Tensor["N", "N"]) -> Tensor["N", 30]:
        degree = adj.sum(dim=-1, keepdim=True).clamp(min=1)
        neigh = (adj @ x) / degree
        return F.relu(self.lin(torch.cat([x, neigh], dim=-1)))  # HURTS


class WrongGatHead(nn.Module):
    def __init__(self, d_in=18, d_out=12):
        super().__init__()
        self.W = nn.Linear(d_in, d_out, bias=False)
        self.a_src = nn.Linear(d_out, 1, bias=False)
        self.a_dst = nn.Linear(d_out, 1, bias=False)

    def forward(self, x: Tensor["N", 18], adj: Tensor["N", "N"]) -> Tensor["N", 12]:
        h = self.W(x)
        e = F.leaky_relu(self.a_src(h) + self.a_dst(h).T)
        e = e.masked_fill(adj == 0, -1e9)
        return e.softmax(dim=-1) * h  # BUG


def wrong_edge_scores(z: Tensor["N", "D"], edge_index: Tensor[2, "E", torch.long]) -> Tensor["E"]:
    src, dst = edge_index
    return (z[src] * z[dst]).sum(dim=0)  # BUG


@dataclass
class Transition:
    obs: Tensor["B", 6]
    action: Tensor["B", torch.long]
    reward: Tensor["B"]
    next_obs: Tensor["B", 6]
    done: Tensor["B"]


class WrongDqnTarget(nn.Module):
    def __init__(self, obs: int = 6, n_actions: int = 3):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(obs, 32), nn.ReLU(), nn.Linear(32, n_actions))

    def forward(self, batch: Transition) -> Tensor["B"]:
        with torch.no_grad():
            q_next = self.net(batch.next_obs).max(dim=1, keepdim=True).values  # BUG
        return batch.reward + 0.99 * (1 - batch.done) * q_next


def wrong_discounted(rewards: Tensor["T", "N"], gamma: float = 0.9) -> Tensor["T", "N"]:
    running = torch.zeros(rewards.shape[0])  # BUG
    out = []
    for r in rewards.flip(0):
        running = r + gamma * running  # HURTS
        out.append(running)
    return torch.stack(out).flip(0)


def wrong_gaussian_log_prob(x: Tensor["B", "A"], mean: Tensor["B", "A"], log_std: Tensor["A"]) -> Tensor["B"]:
    var = (2 * log_std).exp()
    ll = -0.5 * ((x - mean) ** 2 / var + 2 * log_std + 1.8379)
    return ll.sum()  # BUG


def wrong_merge_modalities(batch: Dict[str, Tensor["B", "T", 16]]) -> Tensor["B", "T", 32]:
    audio, video = batch["audio"], batch["video"]
    fused = torch.cat([audio, video], dim=1)  # BUG
    return F.layer_norm(fused, (32,))  # HURTS


def _flatten_time(x):
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def wrong_frame_classifier(frames: Tensor["B", "T", 25], W: Tensor[25, 8]) -> Tensor["B", "T", 8]:
    b, t, _ = frames.shape
    flat = _flatten_time(frames)
    logits = flat @ W
    return logits  # BUG


def wrong_two_layer(x: Tensor["B", 30]) -> Tensor["B", 4]:
    h = ts.nn.linear(x, 50)
    h = torch.tanh(h)
    return ts.nn.linear(h, 5)  # BUG


def wrong_kmeans_assign(points: Tensor["N", "D"], centres: Tensor["K", "D"]) -> Tensor["N", torch.long]:
    diff = points[:, None, :] - centres[:, None, :]  # BUG
    dist = diff.square().sum(dim=-1)
    return dist.argmin(dim=1)


def wrong_optional_context(x: Tensor["B", "D"], context: Optional[Tensor["B", "C"]] = None) -> Tensor["B", "D"]:
    if context is not None:
        gate = torch.sigmoid(context.mean(dim=0, keepdim=True))  # BUG
        x = x * gate  # HURTS
    return x


def wrong_outer_sum(rows: Tensor["N"], cols: Tensor["M"]) -> Tensor["N", "M"]:
    return rows[None, :] + cols[:, None]  # BUG


PROGRAMS = [
    wrong_linear_regression,
    wrong_logistic_grad,
    wrong_softmax_regression,
    WrongRegressor,
    WrongForecastLSTM,
    WrongEncoderDecoderGRU,
    WrongTemporalConv,
    wrong_lag_features,
    WrongSageLayer,
    WrongGatHead,
    wrong_edge_scores,
    WrongDqnTarget,
    wrong_discounted,
    wrong_gaussian_log_prob,
    wrong_merge_modalities,
    wrong_frame_classifier,
    lambda: tessera.function(wrong_two_layer),
    wrong_kmeans_assign,
    wrong_optional_context,
    wrong_outer_sum,
]

SIZES = {}
