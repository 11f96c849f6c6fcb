"""Whether several matrix products are faster as one, with what it costs to lay their operands side by side.

On a device that is here both ways are measured, once for each problem, and remembered. For a GPU that is not, and for
products that would take long to measure, both are predicted: the longer of moving the bytes and multiplying in whole
waves of tiles (Williams et al., Roofline, 2009), and a launch for each call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from tessera import torch_internals
from tessera.backend.fastest import seconds_of
from tessera.backend.products import Products, prefers_onednn
from tessera.backend.projections.groups import Kind
from tessera.backend.targets.absent import Properties
from tessera.backend.targets.device import DEVICES

SMALLEST = 1 << 20  # multiplications of all on a CPU; below, a call is all that there is to gain
LARGEST = 1 << 33  # on a CPU; what is measured takes some tenths of a second

Layout = tuple[tuple[int, ...], tuple[int, ...]]  # shape and strides of a matrix
_CLEARLY = 0.95  # of the time apart; what is measured agrees that well
_LAUNCH = 4e-6  # seconds of a call that begins when the one before has ended
_TILE = 128  # rows and columns that one multiprocessor computes at a time
# Of a processor core that nobody has looked at: FLOP/s, bytes/s of all.
_CORE, _MEMORY = 5e10, 2e10


@dataclass(frozen=True)
class Problem:
    """Products that might be one.

    Attributes:
        left, right: the operands; an operand that is shared stands there once.
        joins_left, joins_right: whether memory is copied to lay these side by side. It is not where their own kernel
            can write them there.
        copies_results: whether who reads the results needs each in memory of its own.
    """

    kind: Kind
    left: tuple[Layout, ...]
    right: tuple[Layout, ...]
    joins_left: bool
    joins_right: bool
    copies_results: bool
    dtype: torch.dtype
    device: torch.device

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Rows, inner size and columns of each product."""
        number = max(len(self.left), len(self.right))
        lefts, rights = (many * (number if len(many) == 1 else 1) for many in (self.left, self.right))
        return [(a[0], a[1], b[1]) for (a, _), (b, _) in zip(lefts, rights, strict=True)]

    @property
    def whole(self) -> tuple[int, int, int]:
        """Those of the one product."""
        rows, inner, columns = self.shapes[0]
        along = [sum(sizes) for sizes in zip(*self.shapes, strict=True)]
        kinds = {"left": (rows, inner, along[2]), "right": (along[0], inner, columns), "sum": (rows, along[1], columns)}
        return kinds[self.kind]

    def __str__(self) -> str:
        sizes = {"left": 2, "right": 0, "sum": 1}
        several = "|".join(str(shape[sizes[self.kind]]) for shape in self.shapes)
        one: list[object] = [*self.shapes[0]]
        one[sizes[self.kind]] = several
        rows, inner, columns = one
        what = {"left": "of one left operand", "right": "of one right operand", "sum": "that are added"}[self.kind]
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{len(self.shapes)} products {what}, [{rows}, {inner}] x [{inner}, {columns}] in {dtype}"


@dataclass(frozen=True)
class Verdict:
    """Seconds as one product and apart, and how they are known."""

    one: float
    apart: float
    known: str

    @property
    def pays(self) -> bool:
        return self.one < _CLEARLY * self.apart

    def __str__(self) -> str:
        return f"{1e3 * self.one:.3g} ms as one, {1e3 * self.apart:.3g} ms apart ({self.known})"


def verdict_on(problem: Problem) -> Verdict | None:
    """Both ways; None where the products are too small to look at, or the device is not known."""
    work = sum(math.prod(shape) for shape in problem.shapes)
    if problem.device.type == "cpu" and work < SMALLEST:
        return None
    if _is_here(problem.device) and (problem.device.type != "cpu" or work <= LARGEST):
        with torch_internals.outside_captures(), torch.no_grad():
            name = f"{problem}, {problem.left} {problem.right} {_costs(problem)}"
            measured = _Measured(problem)
            found = seconds_of(name, {"one": measured.one, "apart": measured.apart}, problem.device)
        if found is not None:
            return Verdict(found["one"], found["apart"], "measured")
    return predicted(problem)


def predicted(problem: Problem) -> Verdict | None:
    """Both ways by arithmetic; None where nothing is known of the device."""
    speeds = _speeds(problem.dtype, problem.device)
    if speeds is None:
        return None
    size = problem.dtype.itemsize
    apart = sum(_seconds(shape, size, speeds) for shape in problem.shapes)
    one = _seconds(problem.whole, size, speeds)
    rows, inner, columns = problem.whole
    copied = problem.joins_left * rows * inner + problem.joins_right * inner * columns
    copied += problem.copies_results * rows * columns
    calls = problem.joins_left + problem.joins_right + problem.copies_results
    one += 2 * copied * size / speeds.bandwidth + calls * _LAUNCH
    if problem.kind == "sum":  # the kernel that adds reads all of them
        apart += (len(problem.shapes) - 1) * rows * columns * size / speeds.bandwidth
    return Verdict(one, apart, "predicted")


@dataclass(frozen=True)
class _Speeds:
    peak: float
    bandwidth: float
    processors: int


def _speeds(dtype: torch.dtype, device: torch.device) -> _Speeds | None:
    if device.type == "cpu":
        return _Speeds(_CORE * torch.get_num_threads(), _MEMORY, 1)
    title = torch.cuda.get_device_name(device)
    known = next((one for one in DEVICES.values() if one.title == title), None)
    if known is None:
        return None
    tf32 = torch.get_float32_matmul_precision() != "highest"
    return _Speeds(known.peak(dtype, product=True, tf32=tf32), known.bandwidth, known.processors)


def _seconds(shape: tuple[int, int, int], size: int, speeds: _Speeds) -> float:
    rows, inner, columns = shape
    flops = 2.0 * rows * inner * columns
    if speeds.processors > 1:
        tiles = -(-rows // _TILE) * -(-columns // _TILE)
        waves = -(-tiles // speeds.processors)
        if tiles >= speeds.processors:  # fewer are cut along the inner size instead
            flops = 2.0 * waves * speeds.processors * _TILE * _TILE * inner
    num_bytes = size * (rows * inner + inner * columns + rows * columns)
    return _LAUNCH + max(flops / speeds.peak, num_bytes / speeds.bandwidth)


def _is_here(device: torch.device) -> bool:
    if device.type == "cpu":
        return True
    return device.type == "cuda" and not isinstance(torch.cuda.get_device_properties(device), Properties)


def _costs(problem: Problem) -> str:
    told = {"left": problem.joins_left, "right": problem.joins_right, "results": problem.copies_results}
    return " ".join(f"copying {name}" for name, copied in told.items() if copied)


class _Measured:
    """A problem with tensors to compute it on, which are made when one of the ways is first gone."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._multiply: Callable[..., object] = torch.mm
        if problem.device.type == "cpu" and problem.dtype is torch.float32 and prefers_onednn():
            self._multiply = Products(torch).mm

    def one(self) -> None:
        problem, (left, right) = self._problem, self._whole
        if problem.joins_left:
            left = _joined(self._lefts, int(problem.kind == "sum"))
        if problem.joins_right:
            right = _joined(self._rights, int(problem.kind == "left"))
        self._multiply(left, right, out=self._result)
        if problem.copies_results:
            self._result.clone()

    def apart(self) -> None:
        number = len(self._results)
        lefts, rights = (many * (number if len(many) == 1 else 1) for many in (self._lefts, self._rights))
        for left, right, result in zip(lefts, rights, self._results, strict=True):
            self._multiply(left, right, out=result)
        for result in self._results[1:] if self._problem.kind == "sum" else ():
            result.sum()  # what the kernel that adds them reads more

    @cached_property
    def _lefts(self) -> list[torch.Tensor]:
        return list(map(self._tensor, self._problem.left))

    @cached_property
    def _rights(self) -> list[torch.Tensor]:
        return list(map(self._tensor, self._problem.right))

    @cached_property
    def _whole(self) -> tuple[torch.Tensor, torch.Tensor]:
        return _joined(self._lefts, int(self._problem.kind == "sum")), _joined(
            self._rights, int(self._problem.kind == "left")
        )

    @cached_property
    def _result(self) -> torch.Tensor:
        rows, _, columns = self._problem.whole
        return self._tensor(((rows, columns), (columns, 1)))

    @cached_property
    def _results(self) -> list[torch.Tensor]:
        return [self._tensor(((rows, columns), (columns, 1))) for rows, _, columns in self._problem.shapes]

    def _tensor(self, layout: Layout) -> torch.Tensor:
        shape, strides = layout
        empty = torch.empty_strided(shape, strides, dtype=self._problem.dtype, device=self._problem.device)
        return empty.fill_(0.5)


def _joined(matrices: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    """Side by side in the layout that they have."""
    if len(matrices) == 1:
        return matrices[0]
    if all(one.mT.is_contiguous() for one in matrices):
        return torch.cat([one.mT for one in matrices], 1 - dim).mT
    return torch.cat(list(matrices), dim)
