"""Recurrent cells by hand, loops over time, caches: each with one bug of shape."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, T, D, H = dims("B T D H")


def rnn(x: Tensor[B, T, D], w: Tensor[D, H], u: Tensor[H, H]) -> Tensor[B, H]:
    h = torch.zeros(x.shape[1], u.shape[0])  # BUG
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ w + h @ u)  # HURTS
    return h


def rnn_outputs(x: Tensor["B", "T", "D"], w: Tensor["D", "H"], u: Tensor["H", "H"]) -> Tensor["B", "T", "H"]:
    h = x.new_zeros(x.shape[0], u.shape[0])
    states = []
    for step in x.unbind(1):
        h = torch.tanh(step @ w + h @ u)
        states.append(h)
    return torch.stack(states)  # BUG


def second_turn(x: Tensor["B", "T", "D"], w: Tensor["D", "E"]) -> Tensor["B", "E"]:
    state = x[:, 0]
    for _ in range(2):
        state = torch.tanh(state @ w)  # BUG
    return state


class GRUByHand(nn.Module):
    def __init__(self, inputs: int = 12, hidden: int = 20):
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Linear(inputs + hidden, 2 * hidden)
        self.candidate = nn.Linear(inputs + 2 * hidden, hidden)  # BUG

    def forward(self, x: Tensor["B", "T", 12]) -> Tensor["B", 20]:
        h = x.new_zeros(x.size(0), self.hidden)
        for t in range(x.size(1)):
            r, z = self.gates(torch.cat([x[:, t], h], 1)).sigmoid().chunk(2, 1)
            new = self.candidate(torch.cat([x[:, t], r * h], 1)).tanh()  # HURTS
            h = (1 - z) * h + z * new
        return h


class LSTMState(NamedTuple):
    h: Tensor["B", "H"]
    c: Tensor["B", "H"]


def lstm_step(x: Tensor["B", "D"], state: LSTMState, w: Tensor["D", "4*H"], u: Tensor["H", "4*H"]) -> LSTMState:
    i, f, g, o = (x @ w + state.h @ u).chunk(4, dim=-1)
    c = f.sigmoid() * state.c + i.sigmoid() * g.tanh()
    return LSTMState(torch.cat([o.sigmoid(), c.tanh()], dim=-1), c)  # BUG


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(1000, 32)
        self.lstm = nn.LSTM(32, 48, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, 5)  # BUG

    def forward(self, ids: Tensor["B", "T", torch.int64]) -> Tensor["B", 5]:
        out, _ = self.lstm(self.embed(ids))
        return self.head(out[:, -1])  # HURTS


class LastState(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 24, num_layers=2, batch_first=True)
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor["B", "T", 8]) -> Tensor["B", 3]:
        _, h = self.gru(x)
        return self.head(h)  # BUG


class TimeFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(6, 10)  # BUG
        self.first = nn.Parameter(torch.zeros(1, 1, 10))

    def forward(self, x: Tensor["B", "T", 6]) -> Tensor["B", "T", 10]:
        h0 = self.first.expand(1, x.shape[0], -1).contiguous()
        out, _ = self.rnn(x, h0)  # HURTS
        return out


class Stacked(nn.Module):
    def __init__(self, sizes=(16, 32, 32)):
        super().__init__()
        self.cells = nn.ModuleList(nn.GRUCell(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.sizes = sizes

    def forward(self, x: Tensor["T", "B", 16]) -> Tensor["T", "B", 32]:
        states = [x.new_zeros(x.shape[1], size) for size in self.sizes[1:]]
        outputs = []
        for step in x:
            for i, cell in enumerate(self.cells):
                states[i] = cell(step, states[i])  # HURTS
                step = states[0] if i else step  # BUG
            outputs.append(step)
        return torch.stack(outputs)


def moving_average(x: Tensor["B", "T"], decay: float = 0.9) -> Tensor["B", "T"]:
    mean, means = x[:, 0], []
    for t in range(1, x.shape[1]):  # BUG
        mean = decay * mean + (1 - decay) * x[:, t]
        means.append(mean)
    return torch.stack(means, dim=1)


def generate(h: Tensor["B", "H"], w: Tensor["H", "H"], out: Tensor["H", "V"], steps: int = 5) -> Tensor["B", 5, "V"]:
    logits = []
    for _ in range(steps):
        h = torch.tanh(h @ w)
        logits.append(h @ out)
    return torch.cat(logits, dim=1)  # BUG


def grow_cache(
    keys: Tensor["B", "T", "D"], values: Tensor["B", "T", "D"], k: Tensor["B", "S", "D"], v: Tensor["B", "S", "D"]
) -> tuple[Tensor["B", "T+S", "D"], Tensor["B", "T+S", "D"]]:
    keys = torch.cat([keys, k], dim=1)
    values = torch.cat([values, v], dim=-1)  # BUG
    return keys, values


def decode_with_cache(q: Tensor["B", "D"], cache: Tensor["B", "T", "D"], new: Tensor["B", "D"]) -> Tensor["B", "D"]:
    cache = torch.cat([cache, new[:, None]], dim=1)
    weights = torch.einsum("bd,btd->bt", q, cache).softmax(-1)
    return torch.einsum("bt,btd->bd", weights[:, :-1], cache)  # BUG


def teacher_forcing(
    ids: Tensor["B", "T", torch.int64], table: Tensor["V", "D"], w: Tensor["D", "V"]
) -> Tensor["B", "T-1"]:
    inputs = table[ids[:, :-1]]
    logp = (inputs @ w).log_softmax(-1)
    return logp.gather(-1, ids[:, :, None]).squeeze(-1)  # BUG


def beam_step(
    scores: Tensor["B", "K"], logp: Tensor["B", "K", "V"]
) -> tuple[Tensor["B", "K"], Tensor["B", "K", torch.int64]]:
    total = scores[:, :, None] + logp
    best, index = total.topk(scores.shape[1], dim=-1)  # BUG
    return best, index // logp.shape[-1]


def viterbi(emissions: Tensor["B", "T", "K"], transitions: Tensor["K", "K"]) -> Tensor["B", "T", torch.int64]:
    score, back = emissions[:, 0], []
    for t in range(1, emissions.shape[1]):
        best = score[:, :, None] + transitions
        score, pointer = best.max(dim=1)
        score = score + emissions[:, t]
        back.append(pointer)
    last = score.argmax(dim=-1)
    path = [last]
    for pointer in reversed(back):
        last = pointer.gather(1, last[:, None])  # BUG
        path.append(last)
    return torch.stack(path[::-1], dim=1)


PROGRAMS = [
    rnn,
    rnn_outputs,
    second_turn,
    GRUByHand,
    lstm_step,
    Encoder,
    LastState,
    TimeFirst,
    Stacked,
    moving_average,
    generate,
    grow_cache,
    decode_with_cache,
    teacher_forcing,
    beam_step,
    viterbi,
]
