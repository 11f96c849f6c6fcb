"""Trains one job twice, plainly and through ``tessera.train_step``, and compares everything a user could look at."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import tessera

WHOLE, PIECES = "whole", "forward and backward"  # how Report.rung begins

Batch = tuple[Any, ...]
Optimizers = Sequence[torch.optim.Optimizer]


def adamw(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(module.parameters(), lr=1e-2, weight_decay=0.1)


def momentum(module: nn.Module) -> torch.optim.Optimizer:
    """For jobs that are not about the optimizer: compiles faster than AdamW."""
    return torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)


def vectors(*sizes: int) -> list[Batch]:
    """Batches ``([n, 5], [n, 3])`` of the given sizes, float64; four of size 8 when no size is given."""
    draw = torch.Generator().manual_seed(7)
    return [
        (
            torch.randn(n, 5, generator=draw, dtype=torch.float64),
            torch.randn(n, 3, generator=draw, dtype=torch.float64),
        )
        for n in sizes or (8, 8, 8, 8)
    ]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


class Written(nn.Module):
    """A module made of named parts and a function ``forward(module, *inputs)``; what it sees goes to ``seen``."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self._forward = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self._forward(self, *inputs, **named)


def written(forward: Callable[..., Any], **parts: Callable[[], Any]) -> Callable[[], nn.Module]:
    """A maker of ``Written`` modules with a ``layer`` from 5 to 3 numbers and further parts, each made by its maker."""

    def make() -> nn.Module:
        return Written(forward, layer=nn.Linear(5, 3), **{name: part() for name, part in parts.items()})

    return make


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training job and what is expected of it.

    Attributes:
        edit: called as ``edit(step, module, optimizers)`` before every step: what a user does in between.
        around: makes the context in which each step runs.
        rung: how ``Report.rung`` must begin after the last step.
        compilations: the most Programs that may be compiled.
    """

    name: str
    module: Callable[[], nn.Module] = mlp
    batches: Callable[[], list[Batch]] = vectors
    loss: Callable[[Any, Any], torch.Tensor] | None = F.mse_loss
    optimizer: Callable[[nn.Module], Any] = adamw
    clip_norm: float | None = 0.5
    accumulate: int = 1
    named: Mapping[str, Any] = field(default_factory=dict)
    edit: Callable[[int, nn.Module, Optimizers], None] | None = None
    around: Callable[[], Any] = contextlib.nullcontext
    double: bool = True
    tolerance: float = 1e-9
    rung: str = WHOLE
    compilations: int | None = None

    def __str__(self) -> str:
        return self.name


def assert_trains_like_eager(job: Job) -> tessera.train_step:
    """Run ``job`` both ways and compare; returns Tessera's step for further questions to its Report."""
    eager, _ = _train(job, _EagerStep)
    ours, step = _train(job, _tessera_step)
    differences = list(compare(eager, ours, job.tolerance))
    assert not differences, "\n".join([*differences[:8], str(step.report)])
    assert step.report.rung.startswith(job.rung), str(step.report)
    if job.compilations is not None:
        assert len(step.report.compilations) <= job.compilations, str(step.report)
    return step


def _train(job: Job, make_step: Callable[..., Any]) -> tuple[dict[str, Any], Any]:
    torch.manual_seed(0)
    module = job.module()
    module = module.double() if job.double else module
    optimizer = job.optimizer(module)
    optimizers = list(optimizer) if isinstance(optimizer, (list, tuple)) else [optimizer]
    step = make_step(job, module, optimizers)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the one stream that models draw from which use NumPy
    losses = []
    for index, batch in enumerate(job.batches()):
        if job.edit is not None:
            job.edit(index, module, optimizers)
        with job.around():
            losses.append(step(*batch, **job.named).clone())
    seen = {
        "losses": losses,
        "parameters": dict(module.named_parameters()),
        "buffers": dict(module.named_buffers()),
        "state dict": dict(module.state_dict()),
        "optimizers": [o.state_dict() for o in optimizers],
        "random stream": torch.get_rng_state(),
        "seen": getattr(module, "seen", None),
    }
    return copy.deepcopy({key: detached(value) for key, value in seen.items()}), step


def _tessera_step(job: Job, module: nn.Module, optimizers: Optimizers) -> Any:
    optimizer = optimizers[0] if len(optimizers) == 1 else optimizers
    return tessera.train_step(module, job.loss, optimizer, clip_norm=job.clip_norm, accumulate=job.accumulate)


class _EagerStep:
    """The training step as a PyTorch user writes it."""

    def __init__(self, job: Job, module: nn.Module, optimizers: Optimizers) -> None:
        self.job, self.module, self.optimizers, self.count = job, module, optimizers, 0

    def __call__(self, *batch: Any, **named: Any) -> torch.Tensor:
        job = self.job
        if self.count % job.accumulate == 0:
            for optimizer in self.optimizers:
                optimizer.zero_grad()
        if job.loss is None:
            output = self.module(*batch, **named)
            loss = output if isinstance(output, torch.Tensor) else output["loss"]
        else:
            loss = job.loss(self.module(*batch[:-1], **named), batch[-1])
        (loss / job.accumulate).backward()
        self.count += 1
        if self.count % job.accumulate == 0:
            owned = [p for o in self.optimizers for group in o.param_groups for p in group["params"]]
            if job.clip_norm is not None:
                nn.utils.clip_grad_norm_([p for p in owned if p.grad is not None], job.clip_norm)
            for optimizer in self.optimizers:
                optimizer.step()
        return loss.detach()


def detached(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: detached(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [detached(v) for v in value]
    return value


def compare(expected: Any, actual: Any, tolerance: float, path: str = "") -> Any:
    """Yield a line for every place where two nested structures differ."""
    if isinstance(expected, torch.Tensor):
        try:
            torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
        except AssertionError as error:
            yield f"{path}: {' '.join(str(error).split())}"
    elif isinstance(expected, dict) and isinstance(actual, dict):
        if list(expected) != list(actual):
            yield f"{path}: keys {list(expected)} became {list(actual)}"
        for key in expected.keys() & actual.keys():
            yield from compare(expected[key], actual[key], tolerance, f"{path}.{key}")
    elif isinstance(expected, (list, tuple)) and isinstance(actual, (list, tuple)):
        if len(expected) != len(actual):
            yield f"{path}: {len(expected)} entries became {len(actual)}"
        for index, (a, b) in enumerate(zip(expected, actual, strict=False)):
            yield from compare(a, b, tolerance, f"{path}[{index}]")
    elif isinstance(expected, float) and isinstance(actual, float):
        yield from compare(torch.tensor(expected), torch.tensor(actual), tolerance, path)
    elif not (type(expected) is type(actual) and expected == actual):
        yield f"{path}: {expected!r} became {actual!r}"
