"""Fields, particles and quantum states."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor as Array
from torch import nn

import tessera as ts
from tessera import Tensor

B, N, X, Y, S, M = ts.dims("B N X Y S M")
MODES = 12


class SpectralConv1d(nn.Module):
    """Multiplies the lowest frequencies by a matrix each."""

    def __init__(self, width=32, modes=MODES):
        super().__init__()
        self.modes = modes
        self.weight = nn.Parameter(torch.randn(width, width, modes, dtype=torch.cfloat) / width)

    def forward(self, u: Float[Array, "batch 32 64"]) -> Float[Array, "batch 32 64"]:
        spectrum = torch.fft.rfft(u)
        low = torch.einsum("bix,iox->box", spectrum[:, :, : self.modes], self.weight)
        full = F.pad(low, (0, spectrum.shape[-1] - self.modes))
        return torch.fft.irfft(full, n=u.shape[-1])


def potential_energy(position: Tensor[B, N, 3], charge: Tensor[B, N]) -> Tensor[B]:
    """Every pair once."""
    offset = position[:, :, None] - position[:, None]
    distance = offset.norm(dim=-1) + torch.eye(position.shape[1])
    product = charge[:, :, None] * charge[:, None]
    pairs = (product / distance).triu(1)
    return pairs.sum(dim=(1, 2))


class Hamiltonian(nn.Module):
    """Of a chain of spins, as a matrix."""

    def __init__(self, spins=4):
        super().__init__()
        self.spins = spins
        self.register_buffer("z", torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        self.register_buffer("x", torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        self.field = nn.Parameter(torch.ones(spins))

    def one(self, what, where):
        before = torch.eye(2**where)
        behind = torch.eye(2 ** (self.spins - where - 1))
        return torch.kron(torch.kron(before, what), behind)

    def forward(self, state: Tensor["B", 16]) -> Tensor["B"]:
        total = torch.zeros(2**self.spins, 2**self.spins)
        for i in range(self.spins):
            total = total - self.field[i] * self.one(self.x, i)
        return (state @ total * state).sum(dim=-1)


def leapfrog(q: Tensor[N, 3], p: Tensor[N, 3], mass: Tensor[N], steps: int = 3) -> tuple[Tensor[N, 3], Tensor[N, 3]]:
    for _ in range(steps):
        p = p - 0.05 * q
        q = q + 0.1 * p / mass[:, None]
        p = p - 0.05 * q
    return q, p


class DeepOperator(nn.Module):
    """A branch for the function, a trunk for where it is asked."""

    def __init__(self, sensors=100, width=64):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(sensors, width), nn.Tanh(), nn.Linear(width, width))
        self.trunk = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, u: Tensor["B", 100], where: Tensor["M", 1]) -> Tensor["B", "M"]:
        b, t = self.branch(u), self.trunk(where)
        return b @ t.T + self.bias


def laplacian_2d(u: Tensor["B", "Y", "X"]) -> Tensor["B", "Y", "X"]:
    """The ends meet."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    x = F.pad(u[:, None], (1, 1, 1, 1), mode="circular")
    return F.conv2d(x, kernel[None, None])[:, 0]


def partial_trace(rho: Float[Array, "b 8 8"]) -> Float[Array, "b 2 2"]:
    """Of three qubits the first."""
    r = rho.reshape(rho.shape[0], 2, 4, 2, 4)
    return torch.einsum("bikjk->bij", r)


class PhysicsResidual(nn.Module):
    """Burgers: u_t + u u_x = nu u_xx, by central differences."""

    def __init__(self, points=64, hidden=50):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(points, hidden), nn.Tanh(), nn.Linear(hidden, points))
        self.nu = 0.01

    def forward(self, u: Tensor[B, 64]) -> Tensor[B, 62]:
        u_t = self.net(u)[:, 1:-1]
        u_x = (u[:, 2:] - u[:, :-2]) / 2
        u_xx = u[:, 2:] - 2 * u[:, 1:-1] + u[:, :-2]
        return u_t + u[:, 1:-1] * u_x - self.nu * u_xx


@dataclass
class Cloud:
    place: Tensor["B", "N", 3]
    kind: Tensor["B", "N", torch.int64]


class EquivariantLayer(nn.Module):
    def __init__(self, kinds=5, dim=24):
        super().__init__()
        self.kind = nn.Embedding(kinds, dim)
        self.message = nn.Sequential(nn.Linear(2 * dim + 1, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.move = nn.Linear(dim, 1)

    def forward(self, cloud: Cloud) -> Tensor["B", "N", 3]:
        h = self.kind(cloud.kind)
        n = h.shape[1]
        offset = cloud.place[:, :, None] - cloud.place[:, None]
        square = offset.pow(2).sum(-1, keepdim=True)
        pair = torch.cat([h[:, :, None].expand(-1, -1, n, -1), h[:, None].expand(-1, n, -1, -1), square], dim=-1)
        m = self.message(pair)
        return cloud.place + (self.move(m) * offset).mean(dim=2)


def structure_factor(place: Tensor["N", 3], waves: Tensor["M", 3]) -> Tensor["M"]:
    phase = place @ waves.T
    real, imag = phase.cos().sum(dim=0), phase.sin().sum(dim=0)
    return (real**2 + imag**2) / place.shape[0]


class ReservoirStep(nn.Module):
    """A fixed random network; only what is read out learns."""

    def __init__(self, size=200, inputs=3):
        super().__init__()
        self.register_buffer("inner", torch.randn(size, size) / size**0.5)
        self.register_buffer("outer", torch.randn(size, inputs))
        self.read = nn.Linear(size, inputs)

    def forward(self, drive: Tensor["B", "S", 3]) -> Tensor["B", "S", 3]:
        h = torch.zeros(drive.shape[0], self.inner.shape[0])
        states = []
        for t in range(drive.shape[1]):
            h = torch.tanh(F.linear(h, self.inner) + F.linear(drive[:, t], self.outer))
            states.append(h)
        return self.read(torch.stack(states, dim=1))


PROGRAMS = [
    SpectralConv1d,
    potential_energy,
    Hamiltonian,
    leapfrog,
    DeepOperator,
    laplacian_2d,
    partial_trace,
    PhysicsResidual,
    EquivariantLayer,
    structure_factor,
    ReservoirStep,
]
