"""Reinforcement learning and planning: returns, world models, searches, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, TypedDict

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn
from torch.distributions import Normal

import tessera as ts
from tessera import Tensor

B, T, A, S, D = ts.dims("B T A S D")


def symlog(x):
    return torch.sign(x) * torch.log1p(torch.abs(x))


def two_hot(x, bins):
    """x (...,), bins (K,) -> (..., K)"""
    below = (bins <= x[..., None]).long().sum(dim=-1).sub(1).clamp(0, len(bins) - 2)
    low, high = bins[below], bins[below + 1]
    share = ((x - low) / (high - low)).clamp(0, 1)
    one = F.one_hot(below, len(bins)) * (1 - share)[..., None]
    return one + F.one_hot(below + 1, len(bins)) * share[..., None]


def mlp(*widths):
    layers = []
    for a, b in zip(widths[:-1], widths[1:]):
        layers += [nn.Linear(a, b), nn.ELU()]
    return nn.Sequential(*layers[:-1])


class WrongRecurrentWorldModel(nn.Module):
    def __init__(self, obs=24, act=4, deter=64, stoch=16):
        super().__init__()
        self.stoch = stoch
        self.inp = nn.Linear(stoch + act, deter)
        self.cell = nn.GRUCell(deter, deter)
        self.prior = mlp(deter, deter, 2 * stoch)
        self.post = mlp(deter + obs, deter, stoch)  # BUG
        self.decode = mlp(deter + stoch, deter, obs)

    def forward(self, obs: Tensor["B", 5, 24], act: Tensor["B", 5, 4]) -> Tensor["B", 5, 24]:
        h = torch.zeros(obs.shape[0], 64)
        z = torch.zeros(obs.shape[0], self.stoch)
        seen = []
        for t in range(5):
            h = self.cell(F.elu(self.inp(torch.cat([z, act[:, t]], dim=-1))), h)  # HURTS
            mean, spread = self.post(torch.cat([h, obs[:, t]], dim=-1)).chunk(2, dim=-1)
            z = mean + F.softplus(spread) * torch.randn_like(mean)
            seen.append(self.decode(torch.cat([h, z], dim=-1)))  # HURTS
        return torch.stack(seen, dim=1)


class Transition(TypedDict):
    obs: Tensor["B", 8]
    action: Tensor["B", torch.int64]
    reward: Tensor["B"]
    done: Tensor["B"]


class WrongQuantileCritic(nn.Module):
    """Distributional Q-learning with 16 quantiles."""

    def __init__(self, obs=8, actions=5, quantiles=16):
        super().__init__()
        self.actions, self.quantiles = actions, quantiles
        self.net = mlp(obs, 64, actions * quantiles)

    def values(self, obs):
        return self.net(obs).view(-1, self.actions, self.quantiles)

    def forward(
        self, obs: Tensor[B, 8], action: Tensor[B, torch.int64], reward: Tensor[B], after: Tensor[B, 8]
    ) -> Tensor[B]:
        index = action[:, None, None].expand(-1, 1, self.quantiles)
        now = self.values(obs).gather(1, index).squeeze(1)
        later = self.values(after)
        best = later.mean(dim=-1).argmax(dim=1)
        following = later.gather(1, best[:, None, None].expand(-1, 1, self.quantiles)).squeeze(1)
        target = reward[:, None] + 0.99 * following
        delta = target[:, None, :] - now[:, :, None]
        levels = (torch.arange(self.actions) + 0.5) / self.quantiles  # BUG
        weight = (levels[None, :, None] - (delta < 0).float()).abs()  # HURTS
        return (weight * delta.abs()).sum(dim=1).mean(dim=-1)


def wrong_lambda_returns(
    reward: Float[torch.Tensor, "time batch"],
    value: Float[torch.Tensor, "time batch"],
    go_on: Float[torch.Tensor, "time batch"],
) -> Float[torch.Tensor, "time batch"]:
    last = value[-1]
    mixed = reward[:-1] + 0.99 * go_on[:-1] * value[1:] * 0.05
    out = [last]
    for t in range(mixed.shape[0] - 1, -1, -1):
        out.append(mixed[t] + 0.95 * 0.99 * go_on[t] * out[-1])
    return torch.stack(out[::-1], dim=1)  # BUG


class WrongGaussianPolicy(nn.Module):
    def __init__(self, obs=17, act=6):
        super().__init__()
        self.body = mlp(obs, 64, 64)
        self.mean = nn.Linear(64, act)
        self.log_std = nn.Parameter(torch.zeros(act))

    def forward(self, obs: Tensor["B", 17], action: Tensor["B", 6]) -> tuple[Tensor["B"], Tensor["B"]]:
        mean = self.mean(torch.tanh(self.body(obs)))
        spread = self.log_std.exp()
        log_prob = -0.5 * ((action - mean) / spread) ** 2 - self.log_std
        entropy = 0.5 + 0.5 * torch.log(2 * torch.pi * spread**2)
        return log_prob.sum(dim=-1), entropy.sum(dim=-1)  # BUG


class WrongCentralCritic(nn.Module):
    """Agents see themselves, the critic sees all of them."""

    def __init__(self, agents=3, obs=10, act=2, hidden=32):
        super().__init__()
        self.agents = agents
        self.critic = mlp(agents * (obs + act), hidden, agents)

    def forward(self, obs: Tensor["B", 3, 10], act: Tensor["B", 3, 2]) -> Tensor["B", 3]:
        joint = torch.cat([obs, act], dim=-1)
        joint = joint.flatten(0, 1)  # BUG
        return self.critic(joint)  # HURTS


def wrong_value_targets(
    logits: Tensor["B", "T", 41], returns: Tensor["B", "T"], mask: Tensor["B", "T", torch.bool]
) -> Tensor["B"]:
    bins = torch.linspace(-10, 10, 40)  # BUG
    target = two_hot(symlog(returns), bins)
    loss = -(target * logits.log_softmax(dim=-1)).sum(dim=-1)  # HURTS
    return (loss * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


class WrongDecisionTransformer(nn.Module):
    """Returns, states and actions in turn: three tokens a step."""

    def __init__(self, obs=11, act=3, dim=48, steps=10):
        super().__init__()
        self.ret, self.obs, self.act = nn.Linear(1, dim), nn.Linear(obs, dim), nn.Linear(act, dim)
        self.time = nn.Embedding(steps, dim)
        layer = nn.TransformerEncoderLayer(dim, 4, 96, batch_first=True, dropout=0.0)
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(dim, act)

    def forward(self, ret: Tensor[B, 10], obs: Tensor[B, 10, 11], act: Tensor[B, 10, 3]) -> Tensor[B, 10, 3]:
        b, steps, _ = obs.shape
        time = self.time(torch.arange(steps))
        tokens = [self.ret(ret[..., None]) + time, self.obs(obs) + time, self.act(act) + time]
        x = torch.stack(tokens, dim=2).reshape(b, 3 * steps, -1)
        mask = torch.ones(3 * steps, 3 * steps).triu(1).bool()
        x = self.body(x, mask=mask)
        seen = x.reshape(b, steps, 3, -1)[:, 1]  # BUG
        return self.head(seen)


def wrong_masked_policy_loss(
    logits: Float[torch.Tensor, "batch actions"],
    legal: Bool[torch.Tensor, "batch actions"],
    action: Int[torch.Tensor, "batch"],
    advantage: Float[torch.Tensor, "batch"],
) -> Float[torch.Tensor, "batch"]:
    logits = logits.masked_fill(~legal, -1e9)
    log_prob = logits.log_softmax(dim=-1).gather(-1, action[:, None])  # BUG
    ratio = (log_prob - log_prob.detach()).exp()
    return -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)


class WrongTreeSearchNet(nn.Module):
    """Representation, dynamics and prediction, unrolled."""

    def __init__(self, planes=5, width=16, actions=9, board=6):
        super().__init__()
        self.actions = actions
        self.represent = nn.Conv2d(planes, width, 3, padding=1)
        self.dynamics = nn.Conv2d(width + 1, width, 3, padding=1)
        self.reward = nn.Linear(width * board * board, 1)
        self.policy = nn.Linear(width * board, actions)  # BUG

    def forward(
        self, planes: Tensor["B", 5, 6, 6], moves: Tensor["B", 3, torch.int64]
    ) -> tuple[Tensor["B", 3], Tensor["B", 3, 9]]:
        x = F.relu(self.represent(planes))
        rewards, policies = [], []
        for move in moves.unbind(1):
            plane = (move.float() / self.actions)[:, None, None, None].expand(-1, 1, *x.shape[2:])
            x = F.relu(self.dynamics(torch.cat([x, plane], dim=1)))
            flat = x.flatten(1)
            rewards.append(self.reward(flat).squeeze(-1))
            policies.append(self.policy(flat))  # HURTS
        return torch.stack(rewards, dim=1), torch.stack(policies, dim=1)


@dataclass
class Replay:
    obs: Tensor["N", "D"]
    action: Tensor["N", torch.int64]
    priority: Tensor["N"]


def wrong_sample_sequences(
    replay: Replay, starts: Tensor["B", torch.int64], length: int = 4
) -> tuple[Tensor["B", 4, "D"], Tensor["B", 4, torch.int64], Tensor["B"]]:
    offsets = torch.arange(length)
    index = starts[:, None] + offsets
    share = replay.priority / replay.priority.sum()
    weight = share[index].prod(dim=0).rsqrt()  # BUG
    return replay.obs[index], replay.action[index], weight


PROGRAMS = [
    WrongRecurrentWorldModel,
    WrongQuantileCritic,
    wrong_lambda_returns,
    WrongGaussianPolicy,
    WrongCentralCritic,
    wrong_value_targets,
    WrongDecisionTransformer,
    wrong_masked_policy_loss,
    WrongTreeSearchNet,
    wrong_sample_sequences,
]
