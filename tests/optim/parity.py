"""Side by side with torch: one model trained by a Tessera optimizer, its copy by the torch.optim twin."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Model(nn.Module):
    """Matrices, a 0-d parameter, one without gradient at odd steps and one that never has any; all float64."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.weight = self._parameter(generator, 3, 4)
        self.bias = self._parameter(generator, 4)
        self.gain = self._parameter(generator)
        self.sometimes = self._parameter(generator, 2, 4)
        self.unused = self._parameter(generator, 2)

    @staticmethod
    def _parameter(generator: torch.Generator, *shape: int) -> nn.Parameter:
        return nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))

    def loss(self, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
        hidden = torch.tanh(x @ self.weight + self.bias) * self.gain
        if step % 2 == 0:
            hidden = hidden * self.sometimes.sum(0)
        return (hidden.sum(-1) - x.sum(-1)).square().mean()


MakeOptimizer = Callable[[Iterable[Any]], torch.optim.Optimizer]


def train(model: Model, optimizer: torch.optim.Optimizer, steps: Iterable[int]) -> None:
    for step in steps:
        optimizer.zero_grad()
        model.loss(step).backward()
        optimizer.step()


def assert_close(mine: Tensor, theirs: Tensor, name: str, tolerance: float = 1e-12) -> None:
    """Equal to a fraction of the tensor's largest number, or of 0.1: numbers near zero keep their rounding."""
    scale = max(float(theirs.detach().abs().max()) if theirs.numel() else 0.0, 0.1)
    torch.testing.assert_close(mine, theirs, rtol=0.0, atol=tolerance * scale, msg=lambda text: f"{name}: {text}")


def assert_same(ours: Model, twins: Model, tolerance: float = 1e-12) -> None:
    for (name, mine), theirs in zip(ours.named_parameters(), twins.parameters(), strict=True):
        assert_close(mine, theirs, name, tolerance)


def assert_same_state(ours: torch.optim.Optimizer, twins: torch.optim.Optimizer, tolerance: float = 1e-12) -> None:
    """Each state tensor of torch is there under its name with its value."""
    theirs = twins.state_dict()["state"]
    mine = ours.state_dict()["state"]
    assert set(mine) == set(theirs)
    for index, state in theirs.items():
        for name in state.keys() - {"momentum_started"}:  # which torch carries along but does not know
            assert_close(mine[index][name], state[name], name, tolerance)


def assert_follows_twin(ours: MakeOptimizer, twin: MakeOptimizer, steps: int = 25, tolerance: float = 1e-12) -> None:
    """Parameters and states agree after every step."""
    model = Model()
    twins_model = copy.deepcopy(model)
    optimizer, twins_optimizer = ours(model.parameters()), twin(twins_model.parameters())
    for step in range(steps):
        train(model, optimizer, [step])
        train(twins_model, twins_optimizer, [step])
        assert_same(model, twins_model, tolerance)
        assert_same_state(optimizer, twins_optimizer, tolerance)


def assert_state_moves_between(ours: MakeOptimizer, twin: MakeOptimizer, tolerance: float = 1e-12) -> None:
    """Training goes on alike when either takes over the other's state_dict."""
    for first, second in ((ours, twin), (twin, ours), (ours, ours)):
        model = Model()
        optimizer = first(model.parameters())
        train(model, optimizer, range(9))
        other_model = copy.deepcopy(model)
        other = second(other_model.parameters())
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        train(model, optimizer, range(9, 20))
        train(other_model, other, range(9, 20))
        assert_same(model, other_model, tolerance)
        ours_first = (optimizer, other) if second is twin else (other, optimizer)
        assert_same_state(*ours_first, tolerance)


def decayed_and_not(params: Iterable[nn.Parameter], **others: Any) -> list[dict[str, Any]]:
    """Two groups: matrices under weight decay, vectors and scalars without."""
    params = list(params)
    return [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0, **others},
    ]
