"""What one call of compiled code costs: two matrices of 2 x 2 are added."""

from __future__ import annotations

from collections.abc import Callable

import torch

import tessera
from benchmarks.measure import Make, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, faster

TORCH_COMPILE, EAGER = "torch.compile", "PyTorch eager"
CALLS = 20_000


def measure(plan: Plan) -> Part:
    """The time of a call, guards kept: a changed dtype, shape or global is seen by the very next call."""
    ways: dict[str, Make] = {
        OURS: lambda: calls(plan, guarded(tessera.compile)),
        TORCH_COMPILE: lambda: calls(plan, guarded(torch.compile)),
        EAGER: lambda: calls(plan, guarded(lambda function: function)),
    }
    outcomes = in_turns(ways, plan, rounds=9, units=CALLS)
    return faster("A compiled 2 x 2 add, one call, guards kept", outcomes, {TORCH_COMPILE: 2.0})


Add = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def guarded(compiler: Callable[[Add], Add]) -> Add:
    """The compiled add, after it has been seen to notice that its arguments and what it closes over change.

    Raises:
        AssertionError: it did not.
    """
    factor = 1.0

    def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + factor * b

    compiled = compiler(add)
    for shape, dtype, factor in (  # noqa: B007 - `add` reads the factor
        ((2, 2), torch.float32, 1.0),
        ((2, 3), torch.float32, 1.0),
        ((2, 2), torch.float64, 1.0),
        ((2, 2), torch.float32, 3.0),
    ):
        a, b = torch.ones(shape, dtype=dtype), torch.ones(shape, dtype=dtype)
        found = compiled(a, b)
        assert found.dtype == dtype
        assert found.shape == shape
        assert found[0, 0] == 1 + factor, (found, factor)
    return compiled


def calls(plan: Plan, add: Add, count: int = CALLS) -> Run:
    """``count`` calls with the same arguments."""
    a = torch.ones(2, 2, device=plan.device)
    b = torch.ones(2, 2, device=plan.device)

    def run() -> float:
        found = a
        for _ in range(count):
            found = add(a, b)
        plan.wait()
        return found.sum().item()

    return run
