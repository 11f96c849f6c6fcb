"""Turns of loops for tests, and the same loops written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Loop = tuple[Callable[..., list[Tensor]], list[Tensor], list[Tensor], list[Tensor]]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 31 * sum(shape)))


def tanh_layer() -> Loop:
    """A product with what all turns share, its bias, and a result that is the carry."""

    def turn(h, x, w, b):
        h = torch.tanh(torch.nn.functional.linear(h, w, b) + x)
        return [h, h]

    return turn, [draw(3, 4)], [draw(6, 3, 4)], [draw(4, 4), draw(4)]


def swapped() -> Loop:
    """Carries that change places; the results are operands themselves."""
    return lambda a, b, x: [b, a, x, a], [draw(2), draw(2, seed=1)], [draw(5, 2)], []


def counted() -> Loop:
    """A carry that is no floating point number, and a result that has no gradient."""

    def turn(total, n, x, scale):
        total = total + x * n * scale
        return [total, n + 1, total, n]

    return turn, [draw(3), torch.tensor(1)], [draw(4, 3)], [draw(3)]


def used_twice() -> Loop:
    """A weight in two products, one of them transposed, and one in arithmetic that is no product."""

    def turn(h, x, y, w, scale):
        h = torch.sin(h @ w + (x @ w.t()) * scale.exp())
        return [h, h * y, x + y]

    return turn, [draw(3, 4)], [draw(5, 3, 4), draw(5, 3, 4, seed=1)], [draw(4, 4), draw(4)]


def written_in_place() -> Loop:
    """A turn that changes tensors that it made itself."""

    def turn(h, x):
        h = h.clone()
        h += x
        h[0] = 1.0
        return [h]

    return turn, [draw(3, 2)], [draw(4, 3, 2)], []


LOOPS = {one.__name__: one for one in (tanh_layer, swapped, counted, used_twice, written_in_place)}


def written_out(
    turn: Callable[..., Sequence[Tensor]],
    init: Sequence[Tensor],
    xs: Sequence[Tensor],
    shared: Sequence[Tensor],
    *,
    reverse: bool = False,
) -> list[Tensor]:
    carries, rows = list(init), [()] * len(xs[0])
    for t in reversed(range(len(xs[0]))) if reverse else range(len(xs[0])):
        results = turn(*carries, *(x[t] for x in xs), *shared)
        carries, rows[t] = list(results[: len(carries)]), tuple(results[len(carries) :])
    return [*carries, *map(torch.stack, zip(*rows, strict=True))]
