"""Recommenders and reinforcement learning, all of them right."""

from typing import TypedDict

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, T, A = dims("B T A")


class TwoTowerRight(nn.Module):
    def __init__(self, users=1000, items=500, dim=32):
        super().__init__()
        self.user = nn.Embedding(users, dim)
        self.item = nn.Embedding(items, dim)
        self.bias = nn.Embedding(items, 1)

    def forward(
        self, user: Tensor["B", torch.int64], item: Tensor["B", torch.int64], all_pairs: bool = False
    ) -> Tensor["B", "B"] | Tensor["B"]:
        u, i = self.user(user), self.item(item)
        if all_pairs:
            return u @ i.T + self.bias(item).T
        return (u * i).sum(-1) + self.bias(item).squeeze(-1)


class Click(TypedDict):
    dense: Tensor["B", 13]
    sparse: Tensor["B", 26, torch.int64]


class DLRMRight(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.bottom = nn.Linear(13, dim)
        self.tables = nn.ModuleList(nn.Embedding(100, dim) for _ in range(26))
        self.top = nn.Linear(dim + 27 * 26 // 2, 1)

    def forward(self, click: Click) -> Tensor["B"]:
        dense = self.bottom(click["dense"]).relu()
        columns = click["sparse"].unbind(1)
        rows = [dense, *(table(ids) for table, ids in zip(self.tables, columns, strict=True))]
        stacked = torch.stack(rows, dim=1)
        i, j = torch.triu_indices(27, 27, offset=1)
        features = torch.cat([dense, torch.bmm(stacked, stacked.mT)[:, i, j]], dim=1)
        return self.top(features).squeeze(1)


class Bags(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(200, 12, mode="mean")

    def forward(self, ids: Tensor["B", "L", torch.int64], other: Tensor["B", 12]) -> Tensor["B"]:
        return F.cosine_similarity(self.bag(ids), other, dim=-1)


def factorisation_machine_right(x: Tensor["B", "F"], v: Tensor["F", "K"], w: Tensor["F"]) -> Tensor["B"]:
    return x @ w + 0.5 * ((x @ v).square() - x.square() @ v.square()).sum(1)


def in_batch_negatives_right(users: Tensor["B", "D"], items: Tensor["B", "D"], popularity: Tensor["B"]) -> Tensor["B"]:
    scores = users @ items.T - popularity
    return F.cross_entropy(scores, torch.arange(users.shape[0]), reduction="none")


def bag_of_items_right(
    ids: Tensor["B", "L", torch.int64], table: Tensor["V", "D"], mask: Tensor["B", "L"]
) -> Tensor["B", "D"]:
    return torch.einsum("bld,bl->bd", table[ids], mask) / mask.sum(1, keepdim=True)


def top_items_right(scores: Tensor["B", "V"], seen: Tensor["B", "V", torch.bool], k: int = 3) -> Tensor["B", 3]:
    values, indices = scores.masked_fill(seen, -1e9).topk(k)
    return values + scores.gather(-1, indices)


def returns_right(rewards: Tensor["T", "B"], gamma: float = 0.99) -> Tensor["T", "B"]:
    total, out = torch.zeros_like(rewards[0]), []
    for reward in rewards.flip(0):
        total = reward + gamma * total
        out.append(total)
    return torch.stack(out[::-1])


def returns_by_cumsum(rewards: Tensor["B", "T"], gamma: float = 0.99) -> Tensor["B", "T"]:
    powers = gamma ** torch.arange(rewards.shape[1])
    return (rewards * powers).flip(1).cumsum(1).flip(1) / powers


def gae_right(
    rewards: Tensor[T, B], values: Tensor["T+1", "B"], dones: Tensor[T, B], gamma: float = 0.99, lam: float = 0.95
) -> Tensor[T, B]:
    deltas = rewards + gamma * values[1:] * (1 - dones) - values[:-1]
    out = torch.empty_like(deltas)
    advantage = 0
    for t in range(deltas.shape[0] - 1, -1, -1):
        advantage = deltas[t] + gamma * lam * (1 - dones[t]) * advantage
        out[t] = advantage
    return out


def policy_loss_right(
    logits: Tensor["B", "A"], actions: Tensor["B", torch.int64], advantage: Tensor["B"]
) -> Tensor[()]:
    policy = torch.distributions.Categorical(logits=logits)
    return -(policy.log_prob(actions) * advantage).mean() - 0.01 * policy.entropy().mean()


def gaussian_policy(mean: Tensor["B", "A"], log_std: Tensor["A"], action: Tensor["B", "A"]) -> Tensor["B"]:
    return torch.distributions.Normal(mean, log_std.exp()).log_prob(action).sum(-1)


def ppo_right(ratio: Tensor["B"], advantage: Tensor["B"], values: Tensor["B", 1], returns: Tensor["B"]) -> Tensor["B"]:
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    surrogate = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    return (values.view(-1) - returns) ** 2 - surrogate


class DQNRight(nn.Module):
    def __init__(self, state=8, actions=4):
        super().__init__()
        self.q = nn.Sequential(nn.Linear(state, 64), nn.ReLU(), nn.Linear(64, actions))
        self.target = nn.Sequential(nn.Linear(state, 64), nn.ReLU(), nn.Linear(64, actions)).requires_grad_(False)

    def forward(
        self, s: Tensor["B", 8], a: Tensor["B", torch.int64], r: Tensor["B"], s2: Tensor["B", 8], double: bool
    ) -> Tensor["B"]:
        now = self.q(s)[torch.arange(s.shape[0]), a]
        with torch.no_grad():
            if double:
                choice = self.q(s2).argmax(dim=1, keepdim=True)
                best = self.target(s2).gather(1, choice).squeeze(1)
            else:
                best = self.target(s2).amax(dim=1)
        return now - (r + 0.99 * best)


class DuelingRight(nn.Module):
    def __init__(self, state=8, actions=4):
        super().__init__()
        self.value = nn.Linear(state, 1)
        self.advantage = nn.Linear(state, actions)

    def forward(self, s: Tensor["B", 8]) -> Tensor["B", 4]:
        advantage = self.advantage(s)
        return self.value(s) + advantage - advantage.mean(-1, keepdim=True)


class ActorCriticRight(nn.Module):
    def __init__(self, obs=17, act=6):
        super().__init__()
        self.body = nn.Linear(obs, 64)
        self.mean = nn.Linear(64, act)
        self.log_std = nn.Parameter(torch.zeros(1, act))
        self.critic = nn.Linear(64, 1)

    def forward(self, obs: Tensor["...", 17]) -> tuple[Tensor["...", 6], Tensor["..."]]:
        h = torch.tanh(self.body(obs))
        mean = self.mean(h)
        return mean + self.log_std.squeeze(0).exp() * torch.randn_like(mean), self.critic(h).squeeze(-1)


def td_lambda_right(values: Tensor["B", "T"], rewards: Tensor["B", "T"]) -> Tensor["B", "T-1"]:
    return rewards[:, :-1] + values[:, 1:] - values[:, :-1]


def replay(states: Tensor["N", "D"], index: Tensor["B", torch.int64], stack: int = 4) -> Tensor["B", 4, "D"]:
    offsets = torch.arange(stack) - stack + 1
    return states[(index[:, None] + offsets).clamp(min=0)]


PROGRAMS = [
    TwoTowerRight,
    DLRMRight,
    Bags,
    factorisation_machine_right,
    in_batch_negatives_right,
    bag_of_items_right,
    top_items_right,
    returns_right,
    returns_by_cumsum,
    gae_right,
    policy_loss_right,
    gaussian_policy,
    ppo_right,
    DQNRight,
    DuelingRight,
    ActorCriticRight,
    td_lambda_right,
    replay,
]
