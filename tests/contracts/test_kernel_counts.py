"""What stands between two products is one kernel: normalisation and residual, rotary embedding, gates, dropout.

A draw of random numbers is a call of torch's own, on every device: compiled code draws what eager would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tessera
from tessera.backend.targets.emission import Emission
from tessera.backend.targets.emit import emit_programs
from tessera.capture.emit import captured
from tests.backend.targets.needs_triton import needs_triton

WIDE, HEAD = 96, 24
X, R = torch.randn(4, 16, WIDE), torch.randn(4, 16, WIDE)
HEADS = torch.randn(2, 4, 16, HEAD)
DRAWS = ("bernoulli", "native_dropout", "rand")


class Pre(nn.Module):
    """The sum goes on beside what is normalised."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x, r):
        x = x + r
        return x, self.norm(x)


class Post(Pre):
    def forward(self, x, r):
        return self.norm(x + r)


class PreByHand(nn.Module):
    """RMSNorm as Llama writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDE))

    def forward(self, x, r):
        x = x + r
        wide = x.float()
        return x, self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def angles():
    steps = 1 / 10_000 ** (torch.arange(0, HEAD, 2).float() / HEAD)
    return torch.outer(torch.arange(16.0), steps)


def halves(x, cos, sin):
    """As GPT-NeoX turns them, with tables that all layers share."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


def complex_pairs(x):
    """As Llama turns them."""
    turn = torch.polar(torch.ones_like(angles()), angles())
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(3).type_as(x)


def packed(x):
    gate, up = x.chunk(2, -1)
    return F.silu(gate) * up


class DropoutNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDE)

    def forward(self, x, r):
        x = x + F.dropout(r, 0.1)
        return x, self.norm(x)


PATTERNS: dict[str, tuple[Callable[[], Callable[..., Any]], tuple[torch.Tensor, ...]]] = {
    "LayerNorm, pre": (lambda: Pre(nn.LayerNorm(WIDE)), (X, R)),
    "LayerNorm, post": (lambda: Post(nn.LayerNorm(WIDE)), (X, R)),
    "RMSNorm, pre": (lambda: Pre(tessera.nn.RMSNorm(WIDE)), (X, R)),
    "RMSNorm, post": (lambda: Post(nn.RMSNorm(WIDE)), (X, R)),
    "RMSNorm by hand": (PreByHand, (X, R)),
    "rotary": (lambda: tessera.nn.RotaryEmbedding(HEAD), (HEADS,)),
    "rotary, interleaved": (lambda: tessera.nn.RotaryEmbedding(HEAD, interleaved=True), (HEADS,)),
    "rotary, halves": (lambda: halves, (HEADS, torch.randn(16, HEAD), torch.randn(16, HEAD))),
    "rotary, complex": (lambda: complex_pairs, (HEADS,)),
    "SwiGLU": (lambda: lambda gate, up: F.silu(gate) * up, (X, R)),
    "SwiGLU, packed": (lambda: packed, (X,)),
    "dropout and add": (lambda: lambda x, r: x + F.dropout(r, 0.1), (X, R)),
    "dropout, add and norm": (DropoutNorm, (X, R)),
}
QUICK = ("RMSNorm by hand", "rotary, complex", "dropout and add")


class Trained(nn.Module):
    """A pattern whose operands are parameters, so that a training step has all of its backward."""

    def __init__(self, make: Callable[[], Callable[..., Any]], operands: tuple[torch.Tensor, ...]) -> None:
        super().__init__()
        self.operands, self.pattern = nn.ParameterList(one.clone() for one in operands), make()

    def forward(self, scale):
        results = self.pattern(*(one * scale for one in self.operands))
        results = results if isinstance(results, tuple) else (results,)
        return sum(one.square().sum() for one in results)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PATTERNS]
)
def test_on_a_cpu_it_is_one_kernel_forward_and_one_backward(name):
    make, operands = PATTERNS[name]
    operands = [one.clone().requires_grad_() for one in operands]
    compiled = tessera.compile(make())
    results = compiled(*operands)
    results = results if isinstance(results, tuple) else (results,)
    sum(one.square().sum() for one in results).backward()
    forward, backward = compiled.report.compilations
    assert (forward.kernels, backward.kernels) == (1, 1), str(compiled.report)
    library = [call.name for call in forward.calls + backward.calls if call.kind == "library"]
    assert all(any(draw in call for draw in DRAWS) for call in library), library
    assert len(library) == ("dropout" in name)


def emitted(names) -> dict[str, tuple[Emission, Emission]]:
    """Forward and training step of each pattern, for an H200."""
    programs = []
    for name in names:
        make, operands = PATTERNS[name]
        programs.append(captured(make(), *operands)[0])
        trained = Trained(make, operands)
        step = tessera.train_step(trained, None, torch.optim.SGD(trained.parameters(), lr=0.1))
        programs.append(captured(step, torch.ones(()))[0])
    found = emit_programs(programs, "h200")
    return dict(zip(names, zip(found[::2], found[1::2], strict=True), strict=True))


@needs_triton
@pytest.mark.parametrize("names", [QUICK, pytest.param(tuple(PATTERNS), marks=pytest.mark.slow)], ids=["some", "all"])
def test_on_a_gpu_it_is_one_kernel_forward_and_few_with_backward_loss_and_update(names):
    for name, (forward, step) in emitted(names).items():
        assert not forward.failed + step.failed
        assert sum(kernel.launches for kernel in forward.kernels) == 1, f"{name}: {forward}"
        assert sum(kernel.launches for kernel in step.kernels) <= 6, f"{name}: {step}"
        for emission in (forward, step):
            library = [call.name for call in emission.library_calls for _ in range(call.launches)]
            assert all(any(draw in call for draw in DRAWS) for call in library), library
            assert len(library) == ("dropout" in name)
