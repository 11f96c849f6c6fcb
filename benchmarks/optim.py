"""Optimizer steps inside the program beside torch's optimizers alone: AdamW at 50 M parameters, Lion, Muon and SOAP.

The module's gradients are its inputs, so the program that `tessera.train_step` compiles is the update and nothing else;
the peers get the same gradients in ``.grad`` and do nothing but ``step()``. Peers beside torch.optim come from the
package ``pytorch_optimizer``, where it is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

import tessera
from benchmarks.measure import Make, NotMeasured, Run, in_turns, repeated
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, faster
from tessera import optim

FUSED, EAGER, COMPILED = "torch.optim, fused", "torch.optim", "torch.optim, compiled"
PACKAGE = "pytorch_optimizer"

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Size:
    """A stack of layers, each four square matrices, one up and one down by four, and vectors as a transformer has."""

    dim: int = 512
    layers: int = 16

    def shapes(self, *, vectors: bool) -> list[tuple[int, ...]]:
        """Of the parameters; without ``vectors`` the matrices alone, which is what Muon takes."""
        dim = self.dim
        layer: list[tuple[int, ...]] = [*[(dim, dim)] * 4, (4 * dim, dim), (dim, 4 * dim)]
        norms: list[tuple[int, ...]] = [(dim,)] * 5
        return (layer + norms if vectors else layer) * self.layers


@dataclass(frozen=True)
class Race:
    """One optimizer: how Tessera's is made, and the peers'; and how many steps a repetition does."""

    name: str
    size: Size
    ours: MakeOptimizer
    peers: dict[str, Callable[[], MakeOptimizer]]
    least: dict[str, float]
    vectors: bool = True
    rounds: int = 7
    steps: int = 4


def races() -> list[Race]:
    """Learning rates are small: what is compared is time, and all end at the same weights."""
    adam: dict[str, Any] = {"lr": 1e-4, "weight_decay": 0.01}
    lion: dict[str, Any] = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.01}
    soap: dict[str, Any] = {"lr": 1e-4, "betas": (0.95, 0.95), "weight_decay": 0.01, "precondition_frequency": 10}
    return [
        Race(
            "AdamW",
            Size(),
            partial(optim.AdamW, **adam),
            {
                FUSED: lambda: partial(torch.optim.AdamW, fused=True, **adam),
                COMPILED: lambda: partial(torch.optim.AdamW, **adam),
                EAGER: lambda: partial(torch.optim.AdamW, **adam),
            },
            {FUSED: 1.0, COMPILED: 1.0},
        ),
        Race(
            "Lion",
            Size(),
            partial(optim.Lion, **lion),
            {PACKAGE: lambda: _from_package("Lion", **lion)},
            {PACKAGE: 1.0},
        ),
        Race(
            "Muon",
            Size(layers=4),
            partial(optim.Muon, lr=1e-4),
            {EAGER: lambda: partial(torch.optim.Muon, lr=1e-4), COMPILED: lambda: partial(torch.optim.Muon, lr=1e-4)},
            {EAGER: 1.0, COMPILED: 1.0},
            vectors=False,
            rounds=5,
        ),
        Race(
            "SOAP",
            Size(dim=256, layers=2),
            partial(optim.SOAP, **soap),
            {PACKAGE: lambda: _from_package("SOAP", **soap)},
            {PACKAGE: 1.0},
            rounds=5,
            steps=soap["precondition_frequency"],  # one of them costs more than the others together
        ),
    ]


def measure(plan: Plan) -> Part:
    """The time of a step of each optimizer."""
    part = Part()
    for race in races():
        part += _measured(plan, race)
    return part


def _measured(plan: Plan, race: Race) -> Part:
    shapes = race.size.shapes(vectors=race.vectors)
    ways: dict[str, Make] = {OURS: partial(in_program, plan, shapes, race.ours, race.steps)}
    for name, peer in race.peers.items():
        ways[name] = partial(alone, plan, shapes, peer, race.steps, compiled=name == COMPILED)
    outcomes = in_turns(ways, plan, rounds=race.rounds, units=race.steps)
    numbers = sum(torch.Size(shape).numel() for shape in shapes)
    return faster(f"{race.name}, {numbers / 1e6:.1f} M parameters, one step", outcomes, race.least)


class _GradientIsGiven(torch.autograd.Function):
    """0, whose derivative by a parameter is said to be another tensor."""

    @staticmethod
    def forward(ctx: Any, param: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(grad)
        return param.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (grad,) = ctx.saved_tensors
        return grad, None  # the loss's own derivative is 1: to multiply by it would be work that no peer has


class Weights(nn.Module):
    """Parameters, the same every time; called with gradients it returns a loss that has them."""

    def __init__(self, shapes: Sequence[tuple[int, ...]], device: torch.device) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.weights = nn.ParameterList(0.02 * torch.randn(shape, generator=draw) for shape in shapes).to(device)

    def forward(self, *grads: torch.Tensor) -> torch.Tensor:
        losses = [_GradientIsGiven.apply(p, g) for p, g in zip(self.weights, grads, strict=True)]
        return torch.stack(losses).sum()


def gradients(shapes: Sequence[tuple[int, ...]], device: torch.device) -> list[torch.Tensor]:
    """One for each parameter, the same every time."""
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=draw).to(device) for shape in shapes]


def in_program(plan: Plan, shapes: Sequence[tuple[int, ...]], make: MakeOptimizer, steps: int) -> Run:
    """Through `tessera.train_step`; a repetition returns the length of the first parameter."""
    weights, grads = Weights(shapes, plan.device), gradients(shapes, plan.device)
    step = tessera.train_step(weights, None, make(weights.parameters()))
    return repeated(lambda: (step(*grads), weights.weights[0].detach().norm())[1], steps, plan.wait)


def alone(
    plan: Plan,
    shapes: Sequence[tuple[int, ...]],
    peer: Callable[[], MakeOptimizer],
    steps: int,
    *,
    compiled: bool = False,
) -> Run:
    """``step()`` of a torch optimizer whose parameters have their gradients already."""
    weights, grads = Weights(shapes, plan.device), gradients(shapes, plan.device)
    for param, grad in zip(weights.parameters(), grads, strict=True):
        param.grad = grad
    optimizer = peer()(weights.parameters())

    def update() -> None:
        optimizer.step()

    compiler: Callable[..., Callable[[], None]] = torch.compile
    update_all = compiler(update) if compiled else update
    return repeated(lambda: (update_all(), weights.weights[0].detach().norm())[1], steps, plan.wait)


def _from_package(name: str, **settings: Any) -> MakeOptimizer:
    try:
        package = importlib.import_module("pytorch_optimizer")
    except ModuleNotFoundError as error:
        raise NotMeasured("not installed") from error
    return partial(getattr(package, name), **settings)
