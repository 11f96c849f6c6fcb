"""Training steps on images: a ResNet-18 and a ViT-tiny on 3x32x32, an MLP 784-512-512-10."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

import tessera
from benchmarks import images_jax
from benchmarks.measure import Make, Outcome, Run, Timing, in_turns, repeated
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, compared, faster

EAGER = "PyTorch eager, fused AdamW"
COMPILED = "torch.compile, fused AdamW"
COMPILED_BF16 = "torch.compile, fused AdamW, bf16 autocast"
JAX, JAX_BF16 = "JAX", "JAX, bf16"
AUTO = "Tessera, precision auto"
BEST = "the best of them"
LEAST = 1.15

LEARNING_RATE, DECAY = 1e-5, 0.01  # so slow that losses stay far enough from zero to be compared
CLASSES = 10


@dataclass(frozen=True)
class Work:
    """One model and its batches.

    Attributes:
        model: makes it; the same weights every time.
        shape: of the inputs, without the batch.
        batch: samples in a batch.
        steps: in a repetition.
        forward_jax: the same forward in JAX, see ``images_jax``.
    """

    title: str
    model: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int
    steps: int
    forward_jax: images_jax.Forward


def measure(plan: Plan) -> Part:
    """The time of a step of each."""
    return sum((_rows(plan, work) for work in (resnet(), vit(), mlp())), Part())


def _rows(plan: Plan, work: Work) -> Part:
    ways: dict[str, Make] = {
        OURS: partial(by_tessera, plan, work),
        AUTO: partial(by_tessera, plan, work, precision="auto"),
        COMPILED: partial(by_torch, plan, work),
        COMPILED_BF16: partial(by_torch, plan, work, autocast=True),
        JAX: partial(by_jax, plan, work),
        JAX_BF16: partial(by_jax, plan, work, dtype="bfloat16"),
        EAGER: partial(by_torch, plan, work, compiled=False),
    }
    outcomes = in_turns(ways, plan, rounds=9, units=work.steps)
    lowered = outcomes.pop(AUTO)
    part = faster(f"{work.title}, one step, fp32 where not said otherwise", outcomes, {})
    peers = [COMPILED, COMPILED_BF16, JAX, JAX_BF16]
    part.rows += [compared(f"The {work.title}, precision auto", peer, lowered, outcomes[peer]) for peer in peers]
    fastest = best([outcomes[peer] for peer in peers])
    part.rows.append(compared(f"The {work.title}, precision auto", BEST, lowered, fastest, least=LEAST))
    return part


def best(outcomes: list[Outcome]) -> Outcome:
    """The fastest of those that were measured."""
    return min(outcomes, key=lambda outcome: outcome.median if isinstance(outcome, Timing) else float("inf"))


def resnet(widths: tuple[int, ...] = (64, 128, 256, 512), blocks: int = 2, batch: int = 64) -> Work:
    """A ResNet-18 for small images: no pooling after its first convolution."""
    title = f"ResNet of {len(widths) * blocks} blocks, 3x32x32, B {batch}, AdamW"
    return Work(title, partial(ResNet, widths, blocks), (3, 32, 32), batch, 1, images_jax.resnet)


def vit(layers: int = 12, dim: int = 192, heads: int = 3, batch: int = 64) -> Work:
    """A ViT-tiny with patches of 4x4."""
    title = f"ViT, {layers} layers, D {dim}, H {heads}, 3x32x32, B {batch}, AdamW"
    forward = partial(images_jax.vit, heads=heads)
    return Work(title, partial(ViT, layers, dim, heads), (3, 32, 32), batch, 1, forward)


def mlp(hidden: int = 512, batch: int = 128) -> Work:
    """Two hidden layers over flat images of 28x28."""
    title = f"MLP 784-{hidden}-{hidden}-{CLASSES}, B {batch}, AdamW"
    return Work(title, partial(perceptron, hidden), (784,), batch, 50, images_jax.mlp)


class Residual(nn.Module):
    """Two convolutions beside a shortcut: ``[batch, channels, height, width]``."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False) if stride != 1 or inputs != width else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beside = x if self.shortcut is None else self.shortcut(x)
        x = self.norm1(self.conv1(x)).relu()
        return (self.norm2(self.conv2(x)) + beside).relu()


class ResNet(nn.Module):
    """Images ``[batch, 3, 32, 32]`` -> scores ``[batch, class]``."""

    def __init__(self, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        self.blocks = nn.Sequential()
        inputs = widths[0]
        for stage, width in enumerate(widths):
            for number in range(blocks):
                self.blocks.append(Residual(inputs, width, 2 if stage and not number else 1))
                inputs = width
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.norm(self.stem(x)).relu())
        return self.head(x.mean((2, 3)))


class Layer(nn.Module):
    """Attention and an MLP, each behind a layer norm: ``[batch, patch, dim]`` -> the same."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [batch, head, patch, dim of a head]
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class ViT(nn.Module):
    """Images ``[batch, 3, 32, 32]`` -> scores ``[batch, class]``, read from the mean of all patches."""

    def __init__(self, layers: int, dim: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, dim, 4, 4)
        self.positions = nn.Parameter(0.02 * torch.randn(64, dim))
        self.blocks = nn.Sequential(*(Layer(dim, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(x)).mean(1))


def perceptron(hidden: int) -> nn.Sequential:
    """``[batch, 784]`` -> scores ``[batch, class]``."""
    layers = [nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES)]
    return nn.Sequential(*layers)


def model(plan: Plan, work: Work) -> nn.Module:
    """The same weights every time."""
    torch.manual_seed(0)
    return work.model().to(plan.device)


def batch(plan: Plan, work: Work) -> tuple[torch.Tensor, torch.Tensor]:
    """Random inputs ``[batch, *shape]`` and labels ``[batch]``."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(work.batch, *work.shape, generator=generator)
    return x.to(plan.device), torch.randint(CLASSES, (work.batch,), generator=generator).to(plan.device)


def by_tessera(plan: Plan, work: Work, *, precision: str = "fp32") -> Run:
    """``tessera.train_step``."""
    module, (x, y) = model(plan, work), batch(plan, work)
    optimizer = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, weight_decay=DECAY)
    step = tessera.train_step(module, nn.functional.cross_entropy, optimizer, precision=precision)
    return repeated(lambda: step(x, y), work.steps, plan.wait)


def by_torch(plan: Plan, work: Work, *, compiled: bool = True, autocast: bool = False) -> Run:
    """Forward and loss compiled in one piece, the update fused by torch."""
    module, (x, y) = model(plan, work), batch(plan, work)
    optimizer = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, weight_decay=DECAY, fused=True)

    def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, torch.bfloat16) if autocast else nullcontext():
            return nn.functional.cross_entropy(module(x), y)

    loss_of = torch.compile(forward) if compiled else forward

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return repeated(step, work.steps, plan.wait)


def by_jax(plan: Plan, work: Work, *, dtype: str = "float32") -> Run:
    """The whole step jitted; see ``images_jax``."""
    step, wait = images_jax.step_and_wait(
        model(plan, work), batch(plan, work), work.forward_jax, LEARNING_RATE, DECAY, dtype
    )
    return repeated(step, work.steps, wait)
