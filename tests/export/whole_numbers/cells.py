"""Every function of whole numbers times their types, in a format: right at its edges, or refused.

    python -m tests.export.whole_numbers.cells .onnx [--only int32] [--family divisors]

A file is written with small numbers, as users do, and runs in its own runtime with those of ``edges``. Many functions
go into one file; where that is refused or wrong, each half goes into one of its own.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tessera.errors import TesseraError
from tessera.export.export import export
from tests.export.cells import PASSED, REFUSED, RUNTIMES, WRONG
from tests.export.whole_numbers.table import FAMILIES, TYPES, edges, example, families

UNASKED = "unasked"  # PyTorch itself does not take it
_NEAR = {torch.float32: 1e-6, torch.float64: 1e-12}


@dataclass(frozen=True)
class Cell:
    ending: str
    dtype: str
    family: str
    name: str
    outcome: str
    why: str = ""


class Functions(nn.Module):
    """Some functions of one call."""

    def __init__(self, functions) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(a, b) for function in self.functions)


def judged(ending: str, dtype: torch.dtype, family: str, names: Sequence[str] = ()) -> Iterator[Cell]:
    """A cell for each function of the family."""
    named = str(dtype).removeprefix("torch.")
    taken = []
    for name in names or FAMILIES[family]:
        if problem := _in_eager(family, name, dtype):
            yield Cell(ending, named, family, name, UNASKED, problem)
        else:
            taken.append(name)
    for name, outcome, why in _in_halves(ending, dtype, family, taken) if taken else ():
        yield Cell(ending, named, family, name, outcome, why)


def _in_eager(family, name, dtype) -> str:
    try:
        for pair in (example(dtype), edges(family, dtype)):
            FAMILIES[family][name](*pair)
    except Exception as error:  # noqa: BLE001 - torch may refuse a type in any way
        return str(error).splitlines()[0]
    return ""


def _in_halves(ending, dtype, family, names) -> list[tuple[str, str, str]]:
    found = _in_one_file(ending, dtype, family, names)
    if len(names) == 1 or all(outcome == PASSED for _, outcome, _ in found):
        return found
    if any(outcome == REFUSED for _, outcome, _ in found):
        middle = len(names) // 2
        halves = (names[:middle], names[middle:])
        return [each for half in halves for each in _in_halves(ending, dtype, family, half)]
    return found


def _in_one_file(ending, dtype, family, names) -> list[tuple[str, str, str]]:
    module = Functions([FAMILIES[family][name] for name in names])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"m{ending}"
        dims = tuple({0: torch.export.Dim("R", max=4096)} for _ in range(2))
        try:
            export(module, path, example(dtype), dims, measure=False)
        except TesseraError as error:
            return [(name, REFUSED, f"{error.received} {error.where or ''}") for name in names]
        pair = edges(family, dtype)
        try:
            found = RUNTIMES[ending](path)(("a", "b"), pair)
        except Exception as error:  # noqa: BLE001 - a runtime may raise anything
            return [(name, WRONG, f"it does not run: {str(error)[:200]}") for name in names]
        answers = module(*pair)
        told = []
        for name, ours, theirs in zip(names, answers, found, strict=True):
            why = _difference(ours, theirs, pair)
            told.append((name, WRONG if why else PASSED, why))
        return told


def _difference(ours: Tensor, theirs: Tensor, pair: tuple[Tensor, Tensor]) -> str:
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return f"{theirs.dtype}{list(theirs.shape)} and not {ours.dtype}{list(ours.shape)}"
    if ours.is_floating_point():
        near = _NEAR.get(ours.dtype, 1e-2)
        same = torch.isclose(theirs, ours, rtol=near, atol=near, equal_nan=True)
    else:
        same = theirs == ours
    if same.all():
        return ""
    place = tuple((~same).nonzero()[0].tolist())
    whence = f" at {place}"
    if ours.shape == pair[0].shape:
        whence = f" of {pair[0][place].item()}, {pair[1][place].item()}"
    return f"{(~same).sum()} of {same.numel()}: {theirs[place].item()} and not {ours[place].item()}{whence}"


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ending", choices=sorted(RUNTIMES))
    parser.add_argument("--only", default="")
    parser.add_argument("--family", default="")
    chosen = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    for dtype in TYPES:
        for family in families(dtype):
            if chosen.only in str(dtype) and chosen.family in family:
                for cell in judged(chosen.ending, dtype, family):
                    counts[cell.outcome] += 1
                    if cell.outcome in (WRONG, REFUSED):
                        print(f"{cell.outcome} {cell.dtype} {cell.family}: {cell.name}: {cell.why}", flush=True)  # noqa: T201
    print(f"{chosen.ending}: {dict(counts)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
