"""Who plays and learns: returns, values, boards, teams."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F

import tessera as ts
from tessera import Tensor


def advantages_again(
    rewards: Tensor["T", "N"],
    values: Tensor["T + 1", "N"],
    alive: Tensor["T", "N"],
    gamma: float = 0.99,
    lam: float = 0.95,
) -> Tensor["T", "N"]:
    delta = rewards + gamma * values[1:] * alive - values[:-1]
    found, last = [], torch.zeros_like(rewards[0])
    for t in reversed(range(rewards.shape[0])):
        last = delta[t] + gamma * lam * alive[t] * last
        found.append(last)
    return torch.stack(found[::-1])


class DuelingHeadAgain(nn.Module):
    def __init__(self, width=512, actions=18):
        super().__init__()
        self.value = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 1))
        self.advantage = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, actions))

    def forward(self, x: Tensor["B", 512]) -> Tensor["B", 18]:
        value = self.value(x)
        advantage = self.advantage(x)
        return value + advantage - advantage.mean(dim=1, keepdim=True)


class ChessPolicy(nn.Module):
    """One number for each move there is on the board."""

    def __init__(self, channels: int = 64, planes: int = 2, moves: int = 4672):
        super().__init__()
        self.body = nn.Conv2d(18, channels, 3, padding=1)
        self.reduce = nn.Conv2d(channels, planes, 1)
        self.head = nn.Linear(planes * 8 * 8, moves)

    def forward(self, board: Tensor["B", 18, 8, 8], legal: Tensor["B", 4672, torch.bool]) -> Tensor["B", 4672]:
        x = F.relu(self.body(board))
        x = F.relu(self.reduce(x))
        logits = self.head(x.flatten(1))
        return logits.masked_fill(~legal, -1e9).log_softmax(dim=-1)


class ImaginedStep(nn.Module):
    """The next hidden state of the game, and what it pays."""

    def __init__(self, channels=48, actions=6):
        super().__init__()
        self.actions = actions
        self.step = nn.Conv2d(channels + 1, channels, 3, padding=1)
        self.reward = nn.Linear(channels * 36, 1)

    def forward(
        self, state: Tensor["B", 48, 6, 6], action: Tensor["B", torch.int64]
    ) -> tuple[Tensor["B", 48, 6, 6], Tensor["B"]]:
        plane = action.float() / self.actions
        plane = plane.view(-1, 1, 1, 1).expand(-1, 1, 6, 6)
        after = F.relu(self.step(torch.cat([state, plane], dim=1)))
        return after, self.reward(after.flatten(1)).squeeze(1)


class PlaysByReturns(nn.Module):
    """Returns, states and actions in turn, as one sentence."""

    def __init__(self, width: int = 96, seen: int = 17, acts: int = 6):
        super().__init__()
        self.of_return = nn.Linear(1, width)
        self.of_state = nn.Linear(seen, width)
        self.of_action = nn.Linear(acts, width)
        layer = nn.TransformerEncoderLayer(width, 4, 192, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.act = nn.Linear(width, acts)

    def forward(
        self, returns: Tensor["B", "T", 1], states: Tensor["B", "T", 17], actions: Tensor["B", "T", 6]
    ) -> Tensor["B", "T", 6]:
        b, t, _ = states.shape
        parts = [self.of_return(returns), self.of_state(states), self.of_action(actions)]
        x = torch.stack(parts, dim=2).reshape(b, 3 * t, -1)
        x = self.body(x).reshape(b, t, 3, -1)
        return torch.tanh(self.act(x[:, :, 1]))


def soft_policy_loss(
    logits: Tensor["B", "A"], first: Tensor["B", "A"], second: Tensor["B", "A"], alpha: float = 0.2
) -> Tensor["B"]:
    log_p = logits.log_softmax(dim=-1)
    q = torch.minimum(first, second)
    return (log_p.exp() * (alpha * log_p - q)).sum(dim=-1)


def worth_a_visit(
    prior: Tensor["N", "A"], value: Tensor["N", "A"], visits: Tensor["N", "A"]
) -> Tensor["N", torch.int64]:
    total = visits.sum(dim=-1, keepdim=True)
    bonus = prior * torch.sqrt(total) / (1 + visits)
    return (value + 1.25 * bonus).argmax(dim=-1)


class SeesPixels(nn.Module):
    def __init__(self, actions: int = 6, frames: int = 4):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(frames, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1),
            nn.ReLU(),
        )
        self.policy = nn.Linear(64 * 7 * 7, actions)
        self.value = nn.Linear(64 * 7 * 7, 1)

    def forward(self, frames: Tensor["B", 4, 84, 84]) -> tuple[Tensor["B", 6], Tensor["B", 1]]:
        x = self.conv(frames / 255).flatten(1)
        return self.policy(x), self.value(x)


class TeamValue(nn.Module):
    """What a team is worth, of what each of it is worth."""

    def __init__(self, agents=5, seen=40, width=32):
        super().__init__()
        self.agents, self.width = agents, width
        self.w1 = nn.Linear(seen, agents * width)
        self.b1 = nn.Linear(seen, width)
        self.w2 = nn.Linear(seen, width)
        self.b2 = nn.Linear(seen, 1)

    def forward(self, each: Tensor["B", 5], state: Tensor["B", 40]) -> Tensor["B", 1]:
        w1 = self.w1(state).abs().view(-1, self.agents, self.width)
        b1 = self.b1(state).view(-1, 1, self.width)
        hidden = F.elu(torch.bmm(each.unsqueeze(1), w1) + b1)
        w2 = self.w2(state).abs().unsqueeze(-1)
        return torch.bmm(hidden, w2).squeeze(1) + self.b2(state)


PROGRAMS = [
    advantages_again,
    DuelingHeadAgain,
    ChessPolicy,
    ImaginedStep,
    PlaysByReturns,
    soft_policy_loss,
    worth_a_visit,
    SeesPixels,
    TeamValue,
]
