"""PyTorch runs a program of the corpus: with every choice of its arguments, and sizes that a turn chooses."""

from __future__ import annotations

import traceback
import warnings
from dataclasses import dataclass

import torch

from tests.check.corpus.binder import Binder
from tests.check.corpus.programs import Program


@dataclass(frozen=True)
class Outcome:
    """What is wrong with one call: nothing (empty), and the line that raised, if one did."""

    complaint: str
    line: int | None = None


def outcomes(program: Program, turn: int) -> list[Outcome]:
    """One outcome for each choice of the bools and Nones among the arguments."""
    torch.manual_seed(turn)
    found = []
    try:
        module, entry = program.load(annotated=False)
        hints = getattr(module, "SIZES", {}).get(program.name, {})
        binder = Binder(module, program.signature, hints, turn)
        calls = binder.arguments()
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        return [_raised(error, program)]
    for positional, named in calls:
        try:
            with warnings.catch_warnings(action="ignore"):
                found.append(Outcome(binder.complaint(entry(*positional, **named))))
        except Exception as error:  # noqa: BLE001 - whatever PyTorch raises
            found.append(_raised(error, program))
    return found


def _raised(error: Exception, program: Program) -> Outcome:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(program.file)]
    if not lines:
        raise error
    return Outcome(f"{type(error).__name__}: {error}", lines[-1])
