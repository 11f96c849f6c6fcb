"""Quantization written out with loops over numbers, and tensors that are hard on it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch

from tessera.quantize.formats import FORMATS


def all_values(name: str) -> list[float]:
    """Every finite number that a format can say, in units of its scale."""
    form = FORMATS[name]
    if form.table:
        return sorted(set(form.table))
    if form.integer:
        return [float(code) for code in range(int(form.least), int(form.largest) + 1)]
    every = torch.arange(256, dtype=torch.uint8).view(form.dtype).double()
    return sorted(set(every[every.isfinite()].tolist()))


def pieces_of(weight: torch.Tensor, per: str, group: int) -> list[list[tuple[int, ...]]]:
    """The places of the numbers that share a scale, for each piece."""
    places = [tuple(place) for place in torch.ones(weight.shape).nonzero().tolist()]
    if per == "tensor":
        return [places]
    rows: dict[int, list[tuple[int, ...]]] = {}
    for place in places:
        rows.setdefault(place[0], []).append(place)
    size = group if per == "group" else max(map(len, rows.values()))
    return [row[start : start + size] for row in rows.values() for start in range(0, len(row), size)]


def largest_gap(name: str, values: Sequence[float], *, symmetric: bool) -> float:
    """An upper bound for the distance of any of ``values`` from the nearest number with the best scale."""
    grid = all_values(name)
    if symmetric:
        reach, top = max(map(abs, values)), max(grid)
        steps = [b - a for a, b in itertools.pairwise(grid) if b <= top and a >= -top]
        scale = reach / top
        if name == "mxfp4" and scale:
            scale = 2.0 ** math.ceil(math.log2(scale))
    else:
        low, high = min(0.0, *values), max(0.0, *values)
        steps, scale = [1.0], (high - low) / (len(grid) - 1)
    # A scale kept in bfloat16 is up to 2**-7 larger than the best one.
    return max(steps) / 2 * scale * (1 + 2**-7)


def hostile() -> dict[str, torch.Tensor]:
    """Weights ``[out, in ...]`` by what is hard about them."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    outlier = normal(3, 40)
    outlier[1, 7] = 1e6
    return {
        "normal": normal(4, 37),
        "zeros": torch.zeros(3, 8),
        "constant": torch.full((2, 9), 0.3),
        "one row of zeros": torch.cat([torch.zeros(1, 16), normal(2, 16)]),
        "one number": torch.tensor([[-2.5]]),
        "outlier": outlier,
        "positive": normal(3, 33).abs() + 5,
        "negative": -normal(3, 33).abs() - 5,
        "huge": normal(2, 10) * 1e38,
        "tiny": normal(2, 10) * 1e-38,
        "below normal": torch.full((2, 5), 1e-44),
        "both ends": torch.tensor([[2e38, -2e38, 0.0, 1.0]]),
        "four dimensions": normal(3, 2, 3, 3),
        "half": normal(2, 12).half(),
        "bfloat16": normal(2, 12).bfloat16(),
        "double": normal(2, 12).double(),
        "empty rows": torch.zeros(2, 0),
    }
