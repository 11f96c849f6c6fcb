"""A training step of a 4-layer GPT (D 256, H 4, T 128, B 8, V 8192, AdamW) beside eager, torch.compile and JAX."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

import tessera
from benchmarks import gpt_jax
from benchmarks.measure import Make, NotMeasured, Run, in_turns, repeated
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, compared, faster

EAGER = "PyTorch eager, fused AdamW"
FUSED, COMPILED = "torch.compile, fused AdamW", "torch.compile, AdamW compiled"
MAX_AUTOTUNE = "torch.compile max-autotune, fused AdamW"
TORCH_BF16 = "torch.compile, fused AdamW, bf16 autocast"
JAX, JAX_BF16 = "JAX", "JAX, bf16"
AUTO = "Tessera, precision auto"
STEPS = 4  # in a repetition

_LEARNING_RATE, _DECAY = 3e-4, 0.01
_AUTOTUNE_S = 150.0  # what choosing among kernels may take


@dataclass(frozen=True)
class Size:
    """The sizes of a GPT and of its batches; see the first line of this file."""

    layers: int = 4
    dim: int = 256
    heads: int = 4
    length: int = 128
    batch: int = 8
    vocabulary: int = 8192


def measure(plan: Plan, size: Size | None = None) -> Part:
    """The time of a step."""
    size = size or Size()
    ways: dict[str, Make] = {
        OURS: partial(by_tessera, plan, size),
        AUTO: partial(by_tessera, plan, size, precision="auto"),
        FUSED: partial(by_torch, plan, size),
        COMPILED: partial(by_torch, plan, size, compiled_update=True),
        JAX: partial(by_jax, plan, size),
        EAGER: partial(by_torch, plan, size, compiled=False),
        TORCH_BF16: partial(by_torch, plan, size, autocast=True),
        JAX_BF16: partial(by_jax, plan, size, dtype="bfloat16"),
        MAX_AUTOTUNE: partial(by_torch, plan, size, mode="max-autotune"),
    }
    outcomes = in_turns(ways, plan, rounds=11, units=STEPS)
    title = f"{described(size)}, one step, fp32 where not said otherwise"
    lowered = outcomes.pop(AUTO)
    part = faster(title, outcomes, {FUSED: 1.1, COMPILED: 1.1, JAX: 1.1})
    least = {TORCH_BF16: 1.3, JAX: 3.6, JAX_BF16: 3.0}
    part.rows += [
        compared("The same, precision auto", peer, lowered, outcomes[peer], least=factor)
        for peer, factor in least.items()
    ]
    return part


def described(size: Size) -> str:
    """As the table says it."""
    shape = f"D {size.dim}, H {size.heads}, T {size.length}, B {size.batch}, V {size.vocabulary}"
    return f"GPT, {size.layers} layers, {shape}, AdamW"


class Block(nn.Module):
    """Attention and an MLP, each behind a layer norm: ``[batch, seq, dim]`` -> the same."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.attention_norm = nn.LayerNorm(size.dim)
        self.qkv = nn.Linear(size.dim, 3 * size.dim)
        self.out = nn.Linear(size.dim, size.dim)
        self.mlp_norm = nn.LayerNorm(size.dim)
        self.up = nn.Linear(size.dim, 4 * size.dim)
        self.down = nn.Linear(4 * size.dim, size.dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [batch, head, seq, dim of a head]
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class GPT(nn.Module):
    """A decoder with learned positions: tokens ``[batch, seq]`` -> ``[batch, seq, vocabulary]``."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.tokens = nn.Embedding(size.vocabulary, size.dim)
        self.positions = nn.Parameter(0.02 * torch.randn(size.length, size.dim))
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.dim)
        self.head = nn.Linear(size.dim, size.vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def cross_entropy(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over all places of ``[batch, seq, vocabulary]``."""
    return nn.functional.cross_entropy(scores.flatten(0, 1), target.flatten())


def model(size: Size, device: torch.device) -> GPT:
    """The same weights every time."""
    torch.manual_seed(0)
    return GPT(size).to(device)


def batch(size: Size, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens and the tokens after them, each ``[batch, seq]``."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(size.vocabulary, (size.batch, size.length + 1), generator=generator).to(device)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def by_tessera(plan: Plan, size: Size, *, precision: str = "fp32", steps: int = STEPS) -> Run:
    """``tessera.train_step``."""
    module, (x, y) = model(size, plan.device), batch(size, plan.device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=_LEARNING_RATE, weight_decay=_DECAY)
    step = tessera.train_step(module, cross_entropy, optimizer, precision=precision)
    return repeated(lambda: step(x, y), steps, plan.wait)


def by_torch(
    plan: Plan,
    size: Size,
    *,
    compiled: bool = True,
    compiled_update: bool = False,
    autocast: bool = False,
    mode: str | None = None,
    steps: int = STEPS,
) -> Run:
    """Forward and loss compiled in one piece; the update fused by torch, or compiled."""
    if mode and plan.left_s < _AUTOTUNE_S:
        raise NotMeasured(f"left out: less than {_AUTOTUNE_S:.0f} s left")
    module, (x, y) = model(size, plan.device), batch(size, plan.device)
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=_LEARNING_RATE, weight_decay=_DECAY, fused=not compiled_update or None
    )
    compiler: Callable[..., Callable[..., torch.Tensor]] = partial(torch.compile, mode=mode)

    def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, torch.bfloat16) if autocast else nullcontext():
            return cross_entropy(module(x), y)

    def update() -> None:
        optimizer.step()

    loss_of = compiler(forward) if compiled else forward
    update_all = compiler(update) if compiled_update else update

    def step() -> torch.Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        update_all()
        return loss.detach()

    return repeated(step, steps, plan.wait)


def by_jax(plan: Plan, size: Size, *, dtype: str = "float32", steps: int = STEPS, **how: Any) -> Run:
    """The whole step jitted; ``how`` and more in ``gpt_jax``."""
    step, wait = gpt_jax.step_and_wait(
        model(size, plan.device), batch(size, plan.device), size.heads, _LEARNING_RATE, _DECAY, dtype, **how
    )
    return repeated(step, steps, wait)
