"""Training steps of many kinds, each made anew as often as it is asked for: what is saved and loaded in the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import tessera

ROWS = 8
FACTOR = 0.5


def scaled(x):
    return x * FACTOR


class Net(nn.Module):
    """Batch norm, dropout, a tensor that is no buffer, a setting, a function of this file and tied layers."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.GELU(), nn.Dropout(0.2))
        self.middle = nn.Linear(width, width)
        self.again = self.middle
        self.last = nn.Linear(width, 3)
        self.mask = torch.arange(float(width))
        self.settings = {"shift": 0.25}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) * self.mask
        x = self.again(torch.tanh(self.middle(x))) + self.settings["shift"]
        return self.last(F.dropout(scaled(x), 0.1, self.training))


class OwnLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, labels: torch.Tensor, *, weight: float = 1.0) -> torch.Tensor:
        return F.cross_entropy(self.net(x), labels) * weight


class Wide(nn.Module):
    """Large enough for updates in one kernel and for products of a library."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(layer for _ in range(5) for layer in (nn.Linear(64, 64), nn.ReLU())))
        self.last = nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.layers(x.repeat(1, 16)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.lstm(x)[0][:, -1])


class Blocks(nn.Module):
    """The same block several times."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)) for _ in range(6)
        )
        self.last = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.repeat(1, 8)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


def weighted(prediction: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (F.cross_entropy(prediction, labels, reduction="none") * weight).mean()


def accuracy(prediction: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (prediction.argmax(-1) == labels).float().mean()


def schedule():
    return tessera.optim.warmup_cosine_decay(0.0, 0.05, warmup_steps=3, decay_steps=20)


def chained(params):
    parts = (tessera.optim.clip_by_global_norm(0.5), tessera.optim.adam(schedule()), tessera.optim.ema_weights(0.9))
    return tessera.optim.Optimizer(params, tessera.optim.chain(*parts))


def hidden_by_muon():
    rules = [(lambda p: p.ndim == 2, tessera.optim.muon(2e-2)), (lambda p: True, tessera.optim.adamw(3e-4))]
    return tessera.optim.partition(rules)


Optimizers = Callable[[nn.Module], Any]


def under_lambda(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    optimizer.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    return optimizer


@dataclass(frozen=True)
class Case:
    """How a step is made."""

    model: Callable[[], nn.Module] = Net
    optimizer: Optimizers = lambda model: torch.optim.AdamW(model.parameters(), lr=0.01)
    loss: Any = "cross_entropy"
    options: dict[str, Any] = field(default_factory=dict)
    batch: Callable[[], tuple[Any, ...]] = lambda: (torch.randn(ROWS, 4), torch.randint(3, (ROWS,)))
    named: dict[str, Any] = field(default_factory=dict)

    def parts(self):
        torch.manual_seed(3)
        model = self.model()
        return model, self.optimizer(model)

    def step(self):
        model, optimizer = self.parts()
        return model, optimizer, tessera.train_step(model, self.loss, optimizer, **self.options)

    def loaded(self, path, **given):
        model, optimizer = self.parts()
        return model, optimizer, tessera.load(path, model=model, optimizer=optimizer, **given)


def with_weight():
    return torch.randn(ROWS, 4), torch.randint(3, (ROWS,)), torch.rand(ROWS)


CASES = {
    "adamw": Case(),
    "clipped, with a metric": Case(options={"clip_norm": 0.3, "metrics": {"accuracy": accuracy}}),
    "momentum": Case(optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True)),
    "sgd": Case(optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1)),
    "schedule, clipping and averages": Case(optimizer=chained),
    "a schedule of torch": Case(optimizer=under_lambda),
    "accumulate": Case(options={"accumulate": 3}),
    "dynamic loss scale": Case(options={"loss_scale": "dynamic", "check_finite": True}),
    "static loss scale": Case(options={"loss_scale": 128.0}),
    "float16": Case(model=lambda: Wide().half(), batch=lambda: (torch.randn(ROWS, 4).half(), torch.arange(ROWS) % 3)),
    "check finite": Case(options={"check_finite": True}),
    "bf16": Case(model=Wide, options={"precision": "bf16"}),
    "auto": Case(model=Wide, options={"precision": {"default": "auto", "last": "fp32"}}),
    "updates in one kernel": Case(model=Wide),
    "own loss": Case(model=OwnLoss, loss=None, named={"weight": 2.0}),
    "two targets": Case(loss=weighted, options={"targets": 2}, batch=with_weight),
    "two optimizers": Case(
        optimizer=lambda m: [
            torch.optim.Adam(m.first.parameters(), lr=0.01),
            torch.optim.SGD([*m.middle.parameters(), *m.last.parameters()], lr=0.1),
        ]
    ),
    "sam": Case(optimizer=lambda m: tessera.optim.SAM(m, tessera.optim.sgd(0.1), rho=0.1)),
    "muon": Case(model=Wide, optimizer=lambda m: tessera.optim.Optimizer(m, hidden_by_muon())),
    "time loop": Case(model=Recurrent, batch=lambda: (torch.randn(ROWS, 5, 4), torch.randint(3, (ROWS,)))),
    "repeated blocks": Case(model=Blocks, options={"clip_norm": 1.0}),
    "chunked rows": Case(
        model=lambda: nn.Linear(16, 4096),
        batch=lambda: (torch.randn(1024, 16), torch.randint(4096, (1024,))),
        optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
    ),
    "memory budget": Case(
        model=Blocks,
        options={"memory_budget": 0.8},
        batch=lambda: (torch.randn(1024, 4), torch.randint(3, (1024,))),
    ),
    "soap": Case(model=Wide, optimizer=tessera.optim.SOAP),
    "frozen layer": Case(
        optimizer=lambda m: (m.last.requires_grad_(False), torch.optim.Adam([*m.first.parameters()]))[1]
    ),
}


def train(case, model, optimizer, step, steps, seed=5):
    """The losses, metrics and all tensors after some steps on batches that follow from ``seed``."""
    torch.manual_seed(seed)
    told = []
    for _ in range(steps):
        told.append((step(*case.batch(), **case.named).clone(), {k: v.clone() for k, v in step.metrics.items()}))
        if hasattr(optimizer, "schedule"):
            optimizer.schedule.step()
    optimizers = optimizer if isinstance(optimizer, list) else [optimizer]
    state = [value for o in optimizers for table in o.state.values() for value in table.values()]
    return told, {name: t.clone() for name, t in model.state_dict().items()}, [t.clone() for t in state], torch.rand(1)
