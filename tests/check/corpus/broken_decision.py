"""Recommenders and reinforcement learning, each with one bug of shape."""

from typing import TypedDict

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, T, A = dims("B T A")


class TwoTower(nn.Module):
    def __init__(self, users=1000, items=500, dim=32):
        super().__init__()
        self.user = nn.Embedding(users, dim)
        self.item = nn.Embedding(items, dim * 2)  # BUG
        self.bias = nn.Embedding(items, 1)

    def forward(self, user: Tensor["B", torch.int64], item: Tensor["B", torch.int64]) -> Tensor["B"]:
        score = (self.user(user) * self.item(item)).sum(-1)  # HURTS
        return score + self.bias(item).squeeze(-1)


class Biased(nn.Module):
    def __init__(self, users=1000, items=500, dim=32):
        super().__init__()
        self.user, self.item = nn.Embedding(users, dim), nn.Embedding(items, dim)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)

    def forward(self, user: Tensor["B", torch.int64], item: Tensor["B", torch.int64]) -> Tensor["B"]:
        dot = (self.user(user) * self.item(item)).sum(dim=1)
        return dot + self.user_bias(user) + self.item_bias(item).squeeze()  # BUG


class Click(TypedDict):
    dense: Tensor["B", 13]
    sparse: Tensor["B", 26, torch.int64]


class DLRM(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.bottom = nn.Linear(13, dim)
        self.tables = nn.ModuleList(nn.Embedding(100, dim) for _ in range(26))
        self.top = nn.Linear(dim + 26 * 25 // 2, 1)  # BUG

    def forward(self, click: Click) -> Tensor["B"]:
        dense = self.bottom(click["dense"]).relu()
        rows = [dense] + [table(click["sparse"][:, i]) for i, table in enumerate(self.tables)]
        stacked = torch.stack(rows, dim=1)
        products = stacked @ stacked.mT
        i, j = torch.triu_indices(27, 27, offset=1)
        features = torch.cat([dense, products[:, i, j]], dim=1)
        return self.top(features).squeeze(1)  # HURTS


def factorisation_machine(x: Tensor["B", "F"], v: Tensor["F", "K"], w: Tensor["F"]) -> Tensor["B"]:
    square_of_sum = (x @ v).square()
    sum_of_square = x.square() @ v.square()
    return x @ w + 0.5 * (square_of_sum - sum_of_square).sum(0)  # BUG


def in_batch_negatives(users: Tensor["B", "D"], items: Tensor["B", "D"], popularity: Tensor["B"]) -> Tensor["B"]:
    scores = users @ items  # BUG
    return F.cross_entropy(scores - popularity.log(), torch.arange(users.shape[0]), reduction="none")


def bag_of_items(
    ids: Tensor["B", "L", torch.int64], table: Tensor["V", "D"], mask: Tensor["B", "L"]
) -> Tensor["B", "D"]:
    rows = table[ids] * mask.unsqueeze(-1)
    return rows.sum(1) / mask.sum(1)  # BUG


def top_items(scores: Tensor["B", "V"], seen: Tensor["B", "V", torch.bool], k: int = 5) -> Tensor["B", 5, torch.int64]:
    scores = scores.masked_fill(seen, -torch.inf)
    return scores.topk(k, dim=1).values  # BUG


def returns(rewards: Tensor["T", "B"], gamma: float = 0.99) -> Tensor["T", "B"]:
    total, out = torch.zeros(rewards.shape[1]), []
    for reward in rewards.flip(0):
        total = reward + gamma * total
        out.append(total)
    return torch.stack(out, dim=1).flip(0)  # BUG


def gae(
    rewards: Tensor[T, B], values: Tensor["T+1", "B"], dones: Tensor[T, B], gamma: float = 0.99, lam: float = 0.95
) -> Tensor[T, B]:
    deltas = rewards + gamma * values[1:] * (1 - dones) - values  # BUG
    advantage, out = torch.zeros_like(deltas[0]), []
    for t in reversed(range(deltas.shape[0])):
        advantage = deltas[t] + gamma * lam * (1 - dones[t]) * advantage
        out.insert(0, advantage)
    return torch.stack(out)


def policy_loss(logits: Tensor["B", "A"], actions: Tensor["B", torch.int64], advantage: Tensor["B"]) -> Tensor["B"]:
    logp = logits.log_softmax(-1).gather(1, actions.unsqueeze(1))  # BUG
    return -(logp * advantage)


def ppo(ratio: Tensor["B"], advantage: Tensor["B"], values: Tensor["B", 1], returns: Tensor["B"]) -> Tensor["B"]:
    surrogate = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    value_loss = (values - returns) ** 2  # BUG
    return value_loss - surrogate


class DQN(nn.Module):
    def __init__(self, state=8, actions=4):
        super().__init__()
        self.q = nn.Sequential(nn.Linear(state, 64), nn.ReLU(), nn.Linear(64, actions))

    def forward(
        self, s: Tensor["B", 8], a: Tensor["B", torch.int64], r: Tensor["B"], s2: Tensor["B", 8]
    ) -> Tensor["B"]:
        now = self.q(s).gather(1, a[:, None]).squeeze(1)
        with torch.no_grad():
            best = self.q(s2).max(dim=0).values  # BUG
        return now - (r + 0.99 * best)  # HURTS


class Dueling(nn.Module):
    def __init__(self, state=8, actions=4):
        super().__init__()
        self.value = nn.Linear(state, 1)
        self.advantage = nn.Linear(state, actions)

    def forward(self, s: Tensor["B", 8]) -> Tensor["B", 4]:
        value, advantage = self.value(s).squeeze(-1), self.advantage(s)  # BUG
        return value + advantage - advantage.mean(-1, keepdim=True)  # HURTS


class ActorCritic(nn.Module):
    def __init__(self, obs=17, act=6):
        super().__init__()
        self.body = nn.Linear(obs, 64)
        self.mean = nn.Linear(64, act)
        self.log_std = nn.Parameter(torch.zeros(act))
        self.critic = nn.Linear(64 + act, 1)  # BUG

    def forward(self, obs: Tensor["B", 17]) -> tuple[Tensor["B", 6], Tensor["B", 6], Tensor["B"]]:
        h = torch.tanh(self.body(obs))
        mean = self.mean(h)
        return mean, self.log_std.expand_as(mean), self.critic(h).squeeze(-1)  # HURTS


def td_lambda(values: Tensor["B", "T"], rewards: Tensor["B", "T"]) -> Tensor["B", "T-1"]:
    return rewards[:, :-1] + values[:, 1:] - values[:-1]  # BUG


PROGRAMS = [
    TwoTower,
    Biased,
    DLRM,
    factorisation_machine,
    in_batch_negatives,
    bag_of_items,
    top_items,
    returns,
    gae,
    policy_loss,
    ppo,
    DQN,
    Dueling,
    ActorCritic,
    td_lambda,
]
