"""How healthy gradients are, layer by layer: whether they vanish, explode or are dead, and how far updates go.

References:
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010: gradients of
    like size in all layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from tessera import torch_internals
from tessera.debug.ranges import values_of

_VANISHING = 1e-5  # of the largest root mean square among all layers that do not explode
_EXPLODING = 1e3  # times the weights
_SMALLEST_WEIGHT = 1e-2  # weights that begin at 0 are compared as if they were this large
_TOO_FAR = 0.1  # an update beside its weights; 1e-3 is usual
_MOSTLY_ZERO = 0.9


@dataclass(frozen=True)
class GradientRow:
    """The gradient of one parameter.

    Attributes:
        name: of the parameter.
        norm: its 2-norm, of the finite values.
        largest: the largest value by size.
        zeros: the share of values that are exactly 0.
        bad: how many values are NaN or infinite.
        rms: root of the mean square.
        weight: the same of the parameter.
        ratio: the norm of the last update over that of the parameter; None where no update was seen.
        verdict: "not finite", "dead", "exploding", "vanishing", "updated too far", "mostly zero", or "" for healthy.
    """

    name: str
    norm: float
    largest: float
    zeros: float
    bad: int
    rms: float
    weight: float
    ratio: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class GradientTable:
    """All rows, the worst first; ``print`` it."""

    rows: tuple[GradientRow, ...]

    @property
    def unhealthy(self) -> tuple[GradientRow, ...]:
        """Those with a verdict."""
        return tuple(row for row in self.rows if row.verdict)

    def __str__(self) -> str:
        cells = [_HEAD, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        )


_HEAD = ("layer", "verdict", "norm", "largest", "zeros", "not finite", "update / weight")


def _cells(row: GradientRow) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.1e}"
    bad = f"{row.bad:,}" if row.bad else ""
    return row.name, row.verdict or "healthy", f"{row.norm:.3g}", f"{row.largest:.3g}", f"{row.zeros:.0%}", bad, ratio


class GradientHealth:
    """What the optimizers of a block were given, step by step."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[torch.nn.Parameter, GradientRow]] = {}
        self._weights: dict[int, torch.Tensor] = {}
        self._stepping: torch.optim.Optimizer | None = None

    def steps(self, optimizer: torch.optim.Optimizer) -> None:
        """An operation of an update is about to run: before the first one gradients and weights are as they were."""
        if self._stepping is optimizer:
            return
        self.rests()
        self._stepping = optimizer
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        with torch.no_grad(), torch_internals.outside_of_modes():
            for parameter in parameters:
                self._rows[id(parameter)] = parameter, row_of("", parameter)
                if parameter.grad is not None:
                    self._weights[id(parameter)] = parameter.detach().clone()

    def rests(self) -> None:
        """Something else runs: the update is over."""
        if self._stepping is None:
            return
        self._stepping = None
        with torch.no_grad(), torch_internals.outside_of_modes():
            for key, before in self._weights.items():
                parameter, row = self._rows[key]
                change = float(torch.linalg.vector_norm((parameter - before).abs().double()))
                size = float(torch.linalg.vector_norm(before.abs().double()))
                self._rows[key] = parameter, replace(row, ratio=change / size if size else None)
        self._weights.clear()

    def table(self, models: Iterable[torch.nn.Module]) -> GradientTable:
        """The gradients that are there now, and for the others those of the last step."""
        self.rests()
        names = {id(p): name for model in models for name, p in model.named_parameters()}
        present = [p for model in models for p in model.parameters() if p.requires_grad]
        with torch.no_grad(), torch_internals.outside_of_modes():
            rows = dict(self._rows)
            for parameter in present:
                known = rows.get(id(parameter))
                if parameter.grad is not None or known is None:
                    ratio = known[1].ratio if known else None
                    rows[id(parameter)] = parameter, replace(row_of("", parameter), ratio=ratio)
        named = [replace(row, name=names.get(key, f"parameter {list(p.shape)}")) for key, (p, row) in rows.items()]
        return judged(named)


def row_of(name: str, parameter: torch.nn.Parameter) -> GradientRow:
    """What there is to say of one gradient by itself."""
    weight = _rms(values_of(parameter))
    values = None if parameter.grad is None else values_of(parameter.grad)
    if values is None or not values.numel():
        return GradientRow(name, 0.0, 0.0, 1.0, 0, 0.0, weight)
    good = values[torch.isfinite(values)].double()
    count = max(parameter.numel(), 1)
    norm = float(torch.linalg.vector_norm(good))
    zeros = 1 - int(torch.count_nonzero(values)) / (count * (2 if parameter.is_complex() else 1))
    largest = float(good.abs().max()) if good.numel() else math.inf
    return GradientRow(name, norm, largest, zeros, values.numel() - good.numel(), norm / math.sqrt(count), weight)


def judged(rows: Sequence[GradientRow]) -> GradientTable:
    """Rows beside each other, the worst first."""
    largest = max((row.rms for row in rows if not row.bad and not _explodes(row)), default=0.0)
    found = [replace(row, verdict=_verdict(row, largest)) for row in rows]
    return GradientTable(tuple(sorted(found, key=lambda row: (_VERDICTS.index(row.verdict), -row.rms))))


_VERDICTS = ("not finite", "exploding", "dead", "vanishing", "updated too far", "mostly zero", "")


def _explodes(row: GradientRow) -> bool:
    return row.rms > _EXPLODING * max(row.weight, _SMALLEST_WEIGHT)


def _verdict(row: GradientRow, largest: float) -> str:
    if row.bad:
        return "not finite"
    if row.rms == 0:
        return "dead"
    if _explodes(row):
        return "exploding"
    if row.rms < _VANISHING * largest:
        return "vanishing"
    if row.ratio is not None and row.ratio > _TOO_FAR and row.weight > _SMALLEST_WEIGHT:
        return "updated too far"
    return "mostly zero" if row.zeros > _MOSTLY_ZERO else ""


def _rms(values: torch.Tensor | None) -> float:
    if values is None or not values.numel():
        return 0.0
    return float(values.double().square().mean().sqrt())
