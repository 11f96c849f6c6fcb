"""Robots: kinematics, filters, controllers, trackers, each with one line wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import nn

import tessera as ts
from tessera import Tensor

B, T, N = ts.dims("B T N")
JOINTS, OBS, ACT = 7, 23, 6


def skew_symmetric(axis):
    """(..., 3) -> (..., 3, 3)"""
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(r, dim=-1) for r in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    return torch.stack(rows, dim=-2)


def rodrigues(axis, angle):
    """axis (..., 3), angle (...,) -> (..., 3, 3)"""
    k = skew_symmetric(axis)
    s, c = angle.sin()[..., None, None], angle.cos()[..., None, None]
    return torch.eye(3) + s * k + (1 - c) * (k @ k)


class WrongForwardKinematics(nn.Module):
    def __init__(self, joints=JOINTS):
        super().__init__()
        self.joints = joints
        self.axis = nn.Parameter(torch.randn(joints, 3))
        self.link = nn.Parameter(torch.randn(joints, 3))

    def forward(self, q: Tensor[B, 7]) -> Tensor[B, 3]:
        position = torch.zeros(q.shape[0], 3)
        rotation = torch.eye(3).expand(q.shape[0], 3, 3)
        for j in range(self.joints):
            turn = rodrigues(self.axis[j].expand(q.shape[0], 3), q[:, j : j + 1])  # BUG
            rotation = rotation @ turn  # HURTS
            position = position + rotation @ self.link[j]  # HURTS
        return position


def wrong_jacobian_step(jacobian: Tensor["B", 6, 7], error: Tensor["B", 6], damping: float = 0.01) -> Tensor["B", 7]:
    transposed = jacobian.transpose(1, 2)
    gram = transposed @ jacobian + damping * torch.eye(6)  # BUG
    solved = torch.linalg.solve(gram, error.unsqueeze(-1))  # HURTS
    return (transposed @ solved).squeeze(-1)


class WrongKalmanFilter(nn.Module):
    def __init__(self, state=6, seen=3):
        super().__init__()
        self.transition = nn.Parameter(torch.eye(state))
        self.measure = nn.Parameter(torch.randn(seen, state))
        self.noise = nn.Parameter(torch.eye(seen))
        self.drift = nn.Parameter(torch.eye(state))

    def forward(
        self, mean: Tensor["B", 6], cov: Tensor["B", 6, 6], z: Tensor["B", 3]
    ) -> tuple[Tensor["B", 6], Tensor["B", 6, 6]]:
        mean = mean @ self.transition.T
        cov = self.transition @ cov @ self.transition.T + self.drift
        innovation = z - mean @ self.measure.T
        seen = self.measure @ cov @ self.measure.T + self.noise
        gain = cov @ self.measure @ torch.linalg.inv(seen)  # BUG
        mean = mean + (gain @ innovation[..., None])[..., 0]
        cov = cov - gain @ self.measure @ cov
        return mean, cov


@dataclass
class Particles:
    state: Tensor["B", "N", 4]
    log_weight: Tensor["B", "N"]


def wrong_resample(particles: Particles, picks: Tensor["B", "N", torch.int64]) -> Tensor["B", "N", 4]:
    index = picks[..., None].expand(-1, -1, 4)
    kept = particles.state.gather(1, index)
    weight = particles.log_weight.softmax(dim=-1).gather(1, picks)
    centre = (kept * weight[..., None]).sum(dim=1)  # BUG
    return kept - centre  # HURTS


class WrongLidarScan(nn.Module):
    """One-dimensional scan of 360 rays, three channels."""

    def __init__(self, rays=360, width=16, out=64):
        super().__init__()
        self.first = nn.Conv1d(3, width, 5, stride=2, padding=2)
        self.second = nn.Conv1d(width, 2 * width, 5, stride=2)
        self.flat = 2 * width * (rays // 4)  # BUG
        self.head = nn.Linear(self.flat, out)

    def forward(self, scan: Tensor[B, 3, 360]) -> Tensor[B, 64]:
        x = F.elu(self.first(scan))
        x = F.elu(self.second(x))
        return self.head(x.reshape(x.shape[0], -1))  # HURTS


def wrong_pid_control(
    target: Float[torch.Tensor, "batch time dof"],
    actual: Float[torch.Tensor, "batch time dof"],
    gains: Float[torch.Tensor, "3 dof"],
) -> Float[torch.Tensor, "batch time dof"]:
    error = target - actual
    total = error.cumsum(dim=1)
    rate = torch.diff(error, dim=1)  # BUG
    return gains[0] * error + gains[1] * total + gains[2] * rate  # HURTS


class WrongGraspScorer(nn.Module):
    def __init__(self, point=3, hidden=32):
        super().__init__()
        self.lift = nn.Sequential(nn.Linear(point, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.pose = nn.Linear(7, hidden)
        self.score = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, cloud: Tensor["B", "P", 3], grasps: Tensor["B", "G", 7]) -> Tensor["B", "G"]:
        scene = self.lift(cloud).amax(dim=1)
        pose = self.pose(grasps)
        scene = scene[:, None].expand(-1, cloud.shape[1], -1)  # BUG
        both = torch.cat([scene, pose], dim=-1)  # HURTS
        return self.score(both).squeeze(-1)


class WrongMpcRollout(nn.Module):
    """Rolls a learned model of the dynamics out over a plan."""

    def __init__(self, obs=OBS, act=ACT, hidden=48):
        super().__init__()
        self.inp = nn.Linear(obs, hidden)  # BUG
        self.mid = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, obs)

    def step(self, state, action):
        x = torch.cat([state, action], dim=-1)
        x = F.silu(self.inp(x))  # HURTS
        return state + self.out(F.silu(self.mid(x)))

    def forward(self, state: Tensor["B", 23], plan: Tensor["B", 10, 6]) -> Tensor["B", 10, 23]:
        states = []
        for action in plan.unbind(dim=1):
            state = self.step(state, action)
            states.append(state)
        return torch.stack(states, dim=1)


def wrong_collision_cost(
    points: Tensor["B", "T", 3], centres: Tensor["N", 3], radii: Tensor["N"], margin: float = 0.1
) -> Tensor["B"]:
    gap = points[:, :, None, :] - centres
    distance = gap.norm(dim=2) - radii  # BUG
    return F.relu(margin - distance).sum(dim=(1, 2))


class WrongTactileGate(nn.Module):
    def __init__(self, taxels=16, vision=40, out=24):
        super().__init__()
        self.touch = nn.Linear(taxels, out)
        self.vision = nn.Linear(vision, out)
        self.gate = nn.Linear(2 * out, out)

    def forward(
        self, touch: Tensor["B", 16], vision: Tensor["B", 40], contact: Optional[Tensor["B", torch.bool]] = None
    ) -> Tensor["B", 24]:
        t, v = self.touch(touch), self.vision(vision)
        gate = torch.sigmoid(self.gate(torch.cat([t, v], dim=-1)))
        if contact is not None:
            gate = gate * contact.float()  # BUG
        return gate * t + (1 - gate) * v


PROGRAMS = [
    WrongForwardKinematics,
    wrong_jacobian_step,
    WrongKalmanFilter,
    wrong_resample,
    WrongLidarScan,
    wrong_pid_control,
    WrongGraspScorer,
    WrongMpcRollout,
    wrong_collision_cost,
    WrongTactileGate,
]
