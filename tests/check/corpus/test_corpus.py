"""The corpus is what it says: PyTorch itself runs the right programs, and refuses or disproves the broken ones."""

from __future__ import annotations

import traceback
import warnings

import pytest
import torch

from tests.check.corpus.binder import Binder
from tests.check.corpus.programs import Program, programs

BROKEN, RIGHT = programs("broken"), programs("right")
TURNS = range(3)


def outcomes(program: Program, turn: int) -> list[str]:
    """What is wrong in each call, one for each choice of the bools and Nones among the arguments; empty: nothing."""
    found = []
    module, entry = program.load()
    hints = getattr(module, "SIZES", {}).get(program.name, {})
    binder = Binder(module, program.signature, hints, turn)
    for positional, named in binder.arguments():
        try:
            with warnings.catch_warnings(action="ignore"):
                found.append(binder.complaint(entry(*positional, **named)))
        except Exception as error:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(program.file)]
            assert not program.broken or lines[-1] in {program.bug, *program.hurts}, (
                f"{program.name} raises at {program.file.name}:{lines[-1]}, not where it is marked: {error}"
            )
            found.append(f"{type(error).__name__}: {error}")
    return found


@pytest.mark.parametrize("program", RIGHT, ids=lambda p: p.name)
def test_right(program):
    for turn in TURNS:
        torch.manual_seed(turn)
        assert outcomes(program, turn) == [""] * len(outcomes(program, turn))


@pytest.mark.parametrize("program", BROKEN, ids=lambda p: p.name)
def test_broken(program):
    for turn in TURNS:
        torch.manual_seed(turn)
        assert any(outcomes(program, turn)), f"{program.name} gives what it declares"


def test_there_is_enough():
    names = [program.name for program in BROKEN + RIGHT]
    assert len(set(names)) == len(names)
    assert len(BROKEN) >= 120
    assert len(RIGHT) >= 120
