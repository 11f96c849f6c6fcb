"""What one call of compiled code costs: two matrices of 2 x 2 are added."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

import tessera
from benchmarks.measure import Make, NotMeasured, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, faster

TORCH_COMPILE, EAGER = "torch.compile", "PyTorch eager"
CALLS = 20_000


Add = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def measure(plan: Plan) -> Part:
    """The time of a call, by compilers that notice at the next call that a shape, a dtype or a closure changed."""
    compilers: dict[str, Callable[[Add], Add]] = {OURS: tessera.compile, TORCH_COMPILE: torch.compile, EAGER: _as_it_is}
    ways: dict[str, Make] = {name: partial(calls, plan, compiler) for name, compiler in compilers.items()}
    outcomes = in_turns(ways, plan, rounds=9, units=CALLS)
    return faster("A compiled 2 x 2 add, one call, guards kept", outcomes, {TORCH_COMPILE: 2.0})


def calls(plan: Plan, compiler: Callable[[Add], Add], count: int = CALLS) -> Run:
    """``count`` calls with the same arguments.

    Raises:
        NotMeasured: what the compiler makes does not notice changes.
    """
    check_guards(compiler, plan.device)

    def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b

    compiled = compiler(add)
    a, b = torch.ones(2, 2, device=plan.device), torch.ones(2, 2, device=plan.device)

    def run() -> float:
        found = a
        for _ in range(count):
            found = compiled(a, b)
        plan.wait()
        return found.sum().item()

    return run


def check_guards(compiler: Callable[[Add], Add], device: torch.device) -> None:
    """Change the shape, the dtype and a closed-over number between calls of one compiled function.

    Raises:
        NotMeasured: a call gave an old answer.
    """
    factor = 1.0

    def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + factor * b

    compiled = compiler(add)
    changes = [((2, 2), torch.float32, 1.0), ((2, 3), torch.float32, 1.0), ((2, 3), torch.float64, 1.0)]
    for shape, dtype, now in [*changes, ((2, 3), torch.float64, 3.0)]:
        factor = now
        ones = torch.ones(shape, dtype=dtype, device=device)
        found = compiled(ones, ones)
        if found.dtype != dtype or not torch.equal(found, ones * (1 + now)):
            raise NotMeasured(f"wrong after a change: {dtype}, {list(shape)}, {now}")


def _as_it_is(function: Add) -> Add:
    return function
