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
from benchmarks.image_models import CLASSES, Residuals, ResNet, ViT, perceptron
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


def measure_resnet50(plan: Plan) -> Part:
    """The time of a step of a ResNet-50, for a GPU."""
    return _rows(plan, resnet50())


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


def resnet(shape: Residuals | None = None, size: int = 32, batch: int = 64, steps: int = 1) -> Work:
    """A ResNet-18 for small images, where nothing else is said: no pooling after its first convolution."""
    shape = shape or Residuals()
    layers = 2 + len(shape.kernels) * sum(shape.blocks)
    forward = partial(
        images_jax.resnet, strides=shape.strides(), stem=shape.stem[1], pools=shape.pools, branch=shape.kernels.index(3)
    )
    title = f"ResNet-{layers}, 3x{size}x{size}, B {batch}, AdamW"
    return Work(title, partial(ResNet, shape), (3, size, size), batch, steps, forward)


def resnet50(size: int = 224, batch: int = 128, steps: int = 5) -> Work:
    """The ResNet-50 of He et al., 2015, with the stride at its 3x3 convolutions."""
    shape = Residuals(blocks=(3, 4, 6, 3), kernels=(1, 3, 1), growth=4, stem=(7, 2, 3), pools=True)
    return resnet(shape, size, batch, steps)


def vit(layers: int = 12, dim: int = 192, heads: int = 3, batch: int = 64) -> Work:
    """A ViT-tiny with patches of 4x4."""
    title = f"ViT, {layers} layers, D {dim}, H {heads}, 3x32x32, B {batch}, AdamW"
    forward = partial(images_jax.vit, heads=heads)
    return Work(title, partial(ViT, layers, dim, heads), (3, 32, 32), batch, 1, forward)


def mlp(hidden: int = 512, batch: int = 128) -> Work:
    """Two hidden layers over flat images of 28x28."""
    title = f"MLP 784-{hidden}-{hidden}-{CLASSES}, B {batch}, AdamW"
    return Work(title, partial(perceptron, hidden), (784,), batch, 50, images_jax.mlp)


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
