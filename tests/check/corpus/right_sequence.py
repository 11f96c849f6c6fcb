"""Recurrent cells by hand, loops over time, caches: all of them right."""

from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, T, D, H = dims("B T D H")


def rnn_right(x: Tensor[B, T, D], w: Tensor[D, H], u: Tensor[H, H], h: Optional[Tensor[B, H]] = None) -> Tensor[B, H]:
    if h is None:
        h = x.new_zeros(x.shape[0], u.shape[0])
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ w + h @ u)
    return h


def rnn_outputs_right(x: Tensor["B", "T", "D"], w: Tensor["D", "H"], u: Tensor["H", "H"]) -> Tensor["B", "T", "H"]:
    h = torch.zeros(x.shape[0], u.shape[0])
    states = []
    for step in x.unbind(1):
        h = torch.tanh(step @ w + h @ u)
        states.append(h)
    return torch.stack(states, dim=1)


def filled_in_place(x: Tensor["B", "T", "D"], w: Tensor["D", "D"]) -> Tensor["B", "T", "D"]:
    out = torch.empty_like(x)
    state = torch.zeros(x.shape[0], x.shape[2])
    for t in range(x.shape[1]):
        state = torch.tanh(state @ w) + x[:, t, :]
        out[:, t] = state
    return out


class GRUByHandRight(nn.Module):
    def __init__(self, inputs: int = 12, hidden: int = 20):
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Linear(inputs + hidden, 2 * hidden)
        self.candidate = nn.Linear(inputs + hidden, hidden)

    def step(self, x, h):
        r, z = self.gates(torch.cat([x, h], 1)).sigmoid().chunk(2, 1)
        new = self.candidate(torch.cat([x, r * h], 1)).tanh()
        return (1 - z) * h + z * new

    def forward(self, x: Tensor["B", "T", 12]) -> tuple[Tensor["B", "T", 20], Tensor["B", 20]]:
        h = x.new_zeros(x.size(0), self.hidden)
        seen = []
        for t in range(x.size(1)):
            h = self.step(x[:, t], h)
            seen += [h]
        return torch.stack(seen, 1), h


class State(NamedTuple):
    h: Tensor["B", "H"]
    c: Tensor["B", "H"]


def lstm_step_right(x: Tensor["B", "D"], state: State, w: Tensor["D", "4*H"], u: Tensor["H", "4*H"]) -> State:
    h, c = state
    i, f, g, o = (x @ w + h @ u).split(h.shape[-1], dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return State(h=o.sigmoid() * c.tanh(), c=c)


class EncoderRight(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(1000, 32, padding_idx=0)
        self.lstm = nn.LSTM(32, 48, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * 48, 5)

    def forward(self, ids: Tensor["B", "T", torch.int64]) -> Tensor["B", 5]:
        out, (h, c) = self.lstm(self.embed(ids))
        both = torch.cat([h[0], h[1]], dim=-1)
        return self.head(out.mean(1)) + self.head(both)


class LastStateRight(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 24, num_layers=2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor["B", "T", 8]) -> Tensor["B", 3]:
        _, h = self.gru(x)
        return self.head(h[-1])


class StackedRight(nn.Module):
    def __init__(self, sizes=(16, 32, 24)):
        super().__init__()
        self.cells = nn.ModuleList(nn.GRUCell(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.sizes = sizes

    def forward(self, x: Tensor["T", "B", 16]) -> Tensor["T", "B", 24]:
        states = [x.new_zeros(x.shape[1], size) for size in self.sizes[1:]]
        outputs = []
        for step in x:
            for i, cell in enumerate(self.cells):
                step = states[i] = cell(step, states[i])
            outputs.append(step)
        return torch.stack(outputs)


def moving_average_right(x: Tensor["B", "T"], decay: float = 0.9) -> Tensor["B", "T"]:
    means = [x[:, 0]]
    for t in range(1, x.shape[1]):
        means.append(decay * means[-1] + (1 - decay) * x[:, t])
    return torch.stack(means, dim=1)


def generate_right(
    h: Tensor["B", "H"], w: Tensor["H", "H"], out: Tensor["H", "V"], steps: int = 5
) -> Tensor["B", 5, "V"]:
    logits = []
    for _ in range(steps):
        h = torch.tanh(h @ w)
        logits.append((h @ out)[:, None])
    return torch.cat(logits, dim=1)


def cache_of_four(k: Tensor["B", "S", "D"]) -> Tensor["B", "4*S", "D"]:
    cache = None
    for _ in range(4):
        cache = k if cache is None else torch.cat([cache, k], dim=1)
    return cache


def cache_by_loop(past: Tensor["B", "T", "D"], k: Tensor["B", "S", "D"]) -> Tensor["B", "T+S", "D"]:
    for t in range(k.shape[1]):
        past = torch.cat([past, k[:, t : t + 1]], dim=1)
    return past


def preallocated(cache: Tensor["B", "L", "D"], k: Tensor["B", "S", "D"]) -> Tensor["B", "L", "D"]:
    s = k.shape[1]
    assert s <= cache.shape[1]
    cache = cache.clone()
    cache[:, :s] = k
    return cache


def teacher_forcing_right(
    ids: Tensor["B", "T", torch.int64], table: Tensor["V", "D"], w: Tensor["D", "V"]
) -> Tensor["B", "T-1"]:
    logp = (table[ids[:, :-1]] @ w).log_softmax(-1)
    return logp.gather(-1, ids[:, 1:, None]).squeeze(-1)


def beam_step_right(
    scores: Tensor["B", "K"], logp: Tensor["B", "K", "V"]
) -> tuple[Tensor["B", "K"], Tensor["B", "K", torch.int64], Tensor["B", "K", torch.int64]]:
    b, k, v = logp.shape
    best, index = (scores.unsqueeze(-1) + logp).view(b, k * v).topk(k, dim=-1)
    return best, index // v, index % v


def viterbi_right(emissions: Tensor["B", "T", "K"], transitions: Tensor["K", "K"]) -> Tensor["B", "T", torch.int64]:
    score, back = emissions[:, 0], []
    for t in range(1, emissions.shape[1]):
        score, pointer = (score[:, :, None] + transitions).max(dim=1)
        score = score + emissions[:, t]
        back.append(pointer)
    path = [score.argmax(dim=-1)]
    for pointer in reversed(back):
        path.append(pointer.gather(1, path[-1][:, None]).squeeze(1))
    return torch.stack(path[::-1], dim=1)


def shifted_right(x: Tensor["B", "T", "D"], start: Tensor["D"]) -> Tensor["B", "T", "D"]:
    first = start.expand(x.shape[0], 1, -1)
    return torch.cat([first, x[:, :-1]], dim=1)


def reversed_pairs(x: Tensor["B", "T", "D"]) -> Tensor["B", "T", "2*D"]:
    return torch.cat([x, x.flip(1)], dim=-1)


def last_of_each(x: Tensor["B", "T", "D"], lengths: Tensor["B", torch.int64]) -> Tensor["B", "D"]:
    index = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, x.shape[-1])
    return x.gather(1, index)[:, 0]


def sinusoids(x: Tensor["B", "S", "2*D"]) -> Tensor["B", "S", "2*D"]:
    s, d = x.shape[1:]
    position = torch.arange(s).unsqueeze(1)
    rate = torch.exp(torch.arange(0, d, 2) * (-torch.log(torch.tensor(10000.0)) / d))
    table = torch.zeros(s, d)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)
    return F.dropout(x + table, 0.1)


PROGRAMS = [
    rnn_right,
    rnn_outputs_right,
    filled_in_place,
    GRUByHandRight,
    lstm_step_right,
    EncoderRight,
    LastStateRight,
    StackedRight,
    moving_average_right,
    generate_right,
    cache_of_four,
    cache_by_loop,
    preallocated,
    teacher_forcing_right,
    beam_step_right,
    viterbi_right,
    shifted_right,
    reversed_pairs,
    last_of_each,
    sinusoids,
]
SIZES = {"preallocated": {"L": (20, 40, 60), "S": (7, 5, 9)}}
