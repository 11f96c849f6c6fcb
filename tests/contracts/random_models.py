"""Random small models, losses, optimizers and batches, as jobs to be trained both ways."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.against_eager import Batch, Job

CLASSES = 3


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class Recurrent(nn.Module):
    def __init__(self, cell: nn.RNNBase) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cell(x)[0]


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.qkv, self.out, self.heads, self.causal = (
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
            heads,
            causal,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if self.causal:
            hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(hidden, float("-inf"))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Gated(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(width, hidden), nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Channels(nn.Module):
    """A module of ``[batch, channels, length]`` on ``[batch, length, channels]``."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.mT).mT


class Mixed(nn.Module):
    """Experts weighted by a gate."""

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.experts, self.gate = (
            nn.ModuleList(nn.Linear(width, width) for _ in range(experts)),
            nn.Linear(width, experts),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.gate(x).softmax(-1)
        return sum(weights[..., i, None] * expert(x) for i, expert in enumerate(self.experts))


def _block(draw: random.Random, width: int) -> nn.Module:
    kernel = draw.choice((1, 3))
    makers: list[Callable[[], nn.Module]] = [
        lambda: nn.Sequential(nn.Linear(width, width), draw.choice((nn.ReLU, nn.GELU, nn.Tanh, nn.SiLU, nn.ELU))()),
        lambda: Residual(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width, bias=draw.random() < 0.5))),
        lambda: Residual(Attention(width, draw.choice((1, width)), draw.random() < 0.5)),
        lambda: Residual(nn.Sequential(nn.RMSNorm(width), Gated(width, draw.choice((1, 5, 8))))),
        lambda: Recurrent(draw.choice((nn.LSTM, nn.GRU, nn.RNN))(width, width, batch_first=True)),
        lambda: Channels(nn.Conv1d(width, width, kernel, padding=kernel // 2)),
        lambda: Channels(nn.Sequential(nn.BatchNorm1d(width), nn.PReLU())),
        lambda: Channels(nn.GroupNorm(1, width)),
        lambda: Mixed(width, draw.choice((1, 2, 3))),
        lambda: nn.Softmax(-1),
    ]
    return draw.choice(makers)()


class RandomModel(nn.Module):
    """From ``[batch, length, width]``, or tokens ``[batch, length]``, through random blocks to ``[batch, CLASSES]``."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        self.width = draw.choice((1, 2, 4, 6))
        self.first: nn.Module = (
            nn.Embedding(11, self.width) if draw.random() < 0.3 else nn.Linear(self.width, self.width)
        )
        self.blocks = nn.Sequential(*(_block(draw, self.width) for _ in range(draw.choice((1, 2, 3)))))
        self.last = nn.Linear(self.width, CLASSES)
        self.pool = draw.choice(("mean", "max", "last"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.blocks(self.first(x))
        y = {"mean": y.mean(1), "max": y.amax(1), "last": y[:, -1]}[self.pool]
        return self.last(y)


LOSSES: dict[str, tuple[Callable[..., torch.Tensor], bool]] = {
    "mse": (F.mse_loss, False),
    "smooth l1": (F.smooth_l1_loss, False),
    "sum of squares": (lambda output, target: (output - target).square().sum(), False),
    "cross-entropy": (F.cross_entropy, True),
    "smoothed cross-entropy": (lambda output, target: F.cross_entropy(output, target, label_smoothing=0.1), True),
    "log-likelihood": (lambda output, target: -output.log_softmax(-1).gather(1, target[:, None]).mean(), True),
}
OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda m: torch.optim.SGD(m.parameters(), 0.05, momentum=0.9, nesterov=True),
    "adamw": lambda m: torch.optim.AdamW(m.parameters(), 1e-2),
    "rmsprop": lambda m: torch.optim.RMSprop(m.parameters(), 1e-3),
    "adagrad": lambda m: torch.optim.Adagrad(m.parameters(), 1e-2),
}


def random_job(seed: int) -> Job:
    """A job whose batches have sizes of one often, and change their size once."""
    draw = random.Random(f"job {seed}")
    loss, classes = LOSSES[name := draw.choice(sorted(LOSSES))]
    optimizer = draw.choice(sorted(OPTIMIZERS))
    length, first, other = draw.choice((1, 2, 5)), draw.choice((1, 1, 2, 4)), draw.choice((1, 2, 3))

    def batches() -> list[Batch]:
        generator = torch.Generator().manual_seed(seed)
        model = RandomModel(seed)
        made: list[Any] = []
        for size in (first, first, other, first):
            x = torch.randn(size, length, model.width, generator=generator, dtype=torch.float64)
            if isinstance(model.first, nn.Embedding):
                x = torch.randint(11, (size, length), generator=generator)
            y = torch.randint(CLASSES, (size,), generator=generator)
            made.append((x, y if classes else F.one_hot(y, CLASSES).double()))
        return made

    return Job(
        name=f"{seed}: {name}, {optimizer}, [{first}, {length}]",
        module=lambda: RandomModel(seed),
        batches=batches,
        loss=loss,
        optimizer=OPTIMIZERS[optimizer],
        clip_norm=draw.choice((None, 0.5)),
        accumulate=draw.choice((1, 1, 2)),
        tolerance=1e-7,
        rung="",
    )
