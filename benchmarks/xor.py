"""The XOR network 2-2-1 with sigmoids, SGD, one sample a step: the time is what a step costs beside its arithmetic.

From Python every step is a call. Through ``fit`` the data is in memory, and the peer scans a whole epoch in one jit:
first XOR's own epoch of four samples, many times; then, what favours a scan most, one epoch of all the steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn

import tessera
from benchmarks import xor_jax
from benchmarks.jax_device import check_jax
from benchmarks.measure import Make, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, faster

T = TypeVar("T")
Sample = tuple[tuple[float, ...], tuple[float, ...]]

SAMPLES: tuple[Sample, ...] = (
    ((0.0, 0.0), (0.0,)),
    ((0.0, 1.0), (1.0,)),
    ((1.0, 0.0), (1.0,)),
    ((1.0, 1.0), (0.0,)),
)
LEARNING_RATE = 0.5
EAGER, JAX = "PyTorch eager", "JAX, step jitted"
JAX_NUMPY = "JAX, step jitted, given NumPy arrays"
JAX_SCAN = "JAX, epoch scanned in one jit"


def measure(plan: Plan) -> Part:
    """All rows of XOR."""
    # A step on a GPU waits for its kernels to be launched, and forty thousand of them would be minutes of the same.
    steps = 4_000 if plan.quick or plan.device.type == "cuda" else 40_000
    name = f"XOR 2-2-1, SGD, {steps:,} steps of one sample"
    part = Part()

    plan.say(" samples from tuples, loss read")
    ways: dict[str, Make] = {
        OURS: lambda: by_tessera(plan, steps, convert=True, read=True),
        EAGER: lambda: by_eager(plan, steps, convert=True, read=True),
        JAX: lambda: by_jax(plan, steps, convert="jax", read=True),
        JAX_NUMPY: lambda: by_jax(plan, steps, convert="numpy", read=True),
    }
    outcomes = in_turns(ways, plan, rounds=5)
    part += faster(f"{name}, from tuples, loss read at every step", outcomes, {EAGER: 8.0, JAX: 3.5})

    for read in (True, False):
        how = "loss read at every step" if read else "loss read at the end"
        plan.say(f" tensors made beforehand, {how}")
        ways = {
            OURS: partial(by_tessera, plan, steps, convert=False, read=read),
            JAX: partial(by_jax, plan, steps, convert="", read=read),
        }
        part += faster(f"{name}, tensors made beforehand, {how}", in_turns(ways, plan, rounds=9), {JAX: 1.0})

    for samples in (len(SAMPLES), steps):
        plan.say(f" fit, {samples:,} samples an epoch")
        ways = {
            OURS: partial(by_fit, plan, samples, steps // samples),
            JAX_SCAN: partial(by_jax_scan, plan, samples, steps // samples),
        }
        title = f"{name}, fit on data in memory, {samples:,} samples an epoch"
        target = {JAX_SCAN: 1.0} if samples == len(SAMPLES) else {}  # XOR has four samples; the rest is for information
        part += faster(title, in_turns(ways, plan, rounds=15), target)
    return part


def network(device: torch.device) -> nn.Sequential:
    """``[2]`` -> ``[1]``, the same weights every time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid()).to(device)


def in_order(samples: Iterable[T], count: int) -> list[T]:
    """``count`` samples, over and over again."""
    return list(itertools.islice(itertools.cycle(samples), count))


def tensors(count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The samples in turn: inputs ``[count, 2]`` and labels ``[count, 1]``."""
    x, y = zip(*in_order(SAMPLES, count), strict=True)
    return torch.tensor(x, device=device), torch.tensor(y, device=device)


def by_tessera(plan: Plan, steps: int, *, convert: bool, read: bool) -> Run:
    """One call of a training step for every sample."""
    model = network(plan.device)
    step = tessera.train_step(model, "mse", torch.optim.SGD(model.parameters(), lr=LEARNING_RATE))
    return _torch_loop(plan, step, steps, convert=convert, read=read)


def by_eager(plan: Plan, steps: int, *, convert: bool, read: bool) -> Run:
    """The loop that everybody writes."""
    model = network(plan.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return _torch_loop(plan, step, steps, convert=convert, read=read)


def by_jax(plan: Plan, steps: int, *, convert: str, read: bool) -> Run:
    """The whole step jitted.

    Args:
        convert: ``"jax"`` makes JAX arrays of the tuples at every step, ``"numpy"`` hands NumPy arrays to the step,
            ``""`` uses JAX arrays made beforehand.
    """
    check_jax(plan.device)
    step, wait = xor_jax.step_and_wait(network(plan.device), LEARNING_RATE)
    to_jax, to_numpy = xor_jax.converters()
    samples = _samples(steps, to_jax, {"jax": to_jax, "numpy": to_numpy}.get(convert))
    return _loop(step, samples, float if read else None, wait)


def by_fit(plan: Plan, samples: int, epochs: int) -> Run:
    """``tessera.fit`` on samples in memory, in their order."""
    model = network(plan.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    data = tensors(samples, plan.device)

    def run() -> float:
        history = tessera.fit(
            model, data, loss="mse", optimizer=optimizer, epochs=epochs, batch_size=1, shuffle=False, progress=False
        )
        return history.loss[-1]

    return run


def by_jax_scan(plan: Plan, samples: int, epochs: int) -> Run:
    """One jitted call an epoch, which scans the samples in their order and returns all losses."""
    check_jax(plan.device)
    return xor_jax.scanned(network(plan.device), tensors(samples, plan.device), epochs, LEARNING_RATE)


def _torch_loop(
    plan: Plan, step: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], steps: int, *, convert: bool, read: bool
) -> Run:
    def to_tensor(values: tuple[float, ...]) -> torch.Tensor:
        return torch.tensor(values, device=plan.device)

    samples = _samples(steps, to_tensor, to_tensor if convert else None)
    return _loop(step, samples, torch.Tensor.item if read else None, plan.wait)


def _samples(
    steps: int, beforehand: xor_jax.Convert, each: xor_jax.Convert | None
) -> Callable[[], Iterable[tuple[Any, Any]]]:
    """What a loop goes over: samples that ``each`` converts as they come, or that were converted ``beforehand``."""
    if each is None:
        ready = in_order([(beforehand(x), beforehand(y)) for x, y in SAMPLES], steps)
        return lambda: ready
    tuples = in_order(SAMPLES, steps)
    return lambda: ((each(x), each(y)) for x, y in tuples)


def _loop(
    step: Callable[[Any, Any], Any],
    samples: Callable[[], Iterable[tuple[Any, Any]]],
    read: Callable[[Any], float] | None,
    wait: Callable[[], object],
) -> Run:
    def run() -> float:
        loss: Any = None
        for x, y in samples():
            loss = step(x, y)
            if read:
                read(loss)
        wait()
        return float(loss)

    return run
