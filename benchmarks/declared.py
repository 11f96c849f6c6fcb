"""What declared dims cost: to check a deep model, to call what was checked, and to meet sizes that are new."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import tessera
from benchmarks.import_time import fresh_interpreter
from benchmarks.measure import Absent, Make, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, compared, limited
from tessera import Tensor, dims

BLOCKS, SECONDS = 100, 10.0
CALLS, NOTHING = 20_000, 1.05  # what a repetition of the same work differs by anyhow
SIZES, DRAWN = 200, 500
PLAIN = "the same without annotations"
DEEP = f"""
import torch
from torch import nn
from torch.nn import functional as F
from tessera import Tensor


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before, self.behind = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", "S", 64]:
        batch, length, width = x.shape
        parts = self.qkv(self.before(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.behind(x))))


class Deep(nn.Module):
    def __init__(self, vocabulary=100, width=64, heads=4, depth={BLOCKS}):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor["B", "S", torch.int64]) -> Tensor["B", "S", 100]:
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)
"""

B, S, D = dims("B S D")


def measure(plan: Plan) -> Part:
    """One row for the check, one for each way to call, one for the compilations."""
    return check_row(plan) + call_rows(plan) + compilations_row(plan)


def check_row(plan: Plan) -> Part:
    """`tessera check` of a model of 100 blocks, in a fresh interpreter that imports all it needs."""
    work = f"`tessera check` of {BLOCKS} blocks of attention and MLP, a fresh Python"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "deep.py")
        file.write_text(DEEP, encoding="utf-8")
        program = f"from tessera.cli.main import main; raise SystemExit(main(['check', {str(file)!r}]))"
        outcome = in_turns({OURS: partial(fresh_interpreter, program)}, plan, rounds=3)[OURS]
    found = math.inf if isinstance(outcome, Absent) else outcome.median
    notes = [f"{work}\n  {outcome.reason}"] if isinstance(outcome, Absent) else []
    return Part([limited(work, "", found, SECONDS, "s")], notes)


def call_rows(plan: Plan) -> Part:
    """One call of what was checked, compiled and as a function, beside one of the same without annotations."""
    work = "{}, one call once checked, {}"
    part = Part()
    for name, declared, bare, size, count in (
        ("A 2 x 2 add with declared dims", annotated, plain, 2, CALLS),
        ("A layer of 512 x 512 with declared dims, B 64", layer, plain_layer, 512, CALLS // 40),
    ):
        for maker in (tessera.compile, tessera.function):
            ways: dict[str, Make] = {
                OURS: partial(calls, maker, declared, size, count),
                PLAIN: partial(calls, maker, bare, size, count),
            }
            outcomes = in_turns(ways, plan, rounds=15, units=count)
            title = work.format(name, f"tessera.{maker.__name__}")
            part += Part([compared(title, PLAIN, outcomes[OURS], outcomes[PLAIN], most=NOTHING)])
    return part


def annotated(x: Tensor[B, S], y: Tensor[B, S]) -> Tensor[B, S]:
    """An add with declared dims."""
    return x + y


def plain(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The same add, without."""
    return x + y


def layer(x: Tensor[B, S], weight: Tensor[S, D]) -> Tensor[B, D]:
    """A product and its activation, with declared dims."""
    return torch.nn.functional.gelu(x @ weight)


def plain_layer(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The same, without."""
    return torch.nn.functional.gelu(x @ weight)


def calls(maker: Callable[..., Any], function: Callable[..., torch.Tensor], size: int, count: int) -> Run:
    """``count`` calls with the same arguments. Sizes are symbols without annotations too: three were met."""
    made = maker(function)
    for some in (3, 5):
        made(torch.ones(some, some), torch.ones(some, some))
    x, y = torch.ones(min(size, 64), size), torch.ones(size, size)

    def run() -> float:
        found = x
        for _ in range(count):
            found = made(x, y)
        return found.sum().item()

    return run


def compilations_row(plan: Plan) -> Part:
    """Two declared dims, each of 1 to 200 at random, 500 calls; every answer is held against eager."""
    plan.say(f"  {DRAWN} calls")
    work = f"Compilations in {DRAWN} calls, two declared dims of 1 to {SIZES} at random"
    return Part([limited(work, "", compilations(DRAWN), 1)])


def compilations(count: int) -> float:
    """How many there were; infinitely many where an answer is wrong, or none was compiled."""
    draw, weight = random.Random(0), torch.randn(8, 5)
    compiled: Any = tessera.compile(_mixed)
    for _ in range(count):
        x = torch.randn(draw.randint(1, SIZES), draw.randint(1, SIZES), 8)
        if not torch.allclose(compiled(x, weight), _mixed(x, weight), rtol=1e-4, atol=1e-5):
            return math.inf
    return len(compiled.report.compilations) or math.inf


def _mixed(x: Tensor[B, S, 8], weight: Tensor[8, 5]) -> Tensor[B, S, 5]:
    """Reductions and a product over both dims."""
    y = torch.nn.functional.layer_norm(x, (8,)) @ weight
    return torch.softmax(y, 1) + y.mean((0, 1))
