"""The corpus is what it says: PyTorch itself runs the right programs, and refuses or disproves the broken ones."""

from __future__ import annotations

import traceback
import warnings

import pytest
import torch

from tests.check.corpus.binder import Binder
from tests.check.corpus.programs import Program, programs

BROKEN, RIGHT = programs("broken"), programs("right")
TURNS = pytest.mark.parametrize(
    "turn", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)


def outcomes(program: Program, turn: int) -> list[str]:
    """What is wrong in each call, one for each choice of the bools and Nones among the arguments; empty: nothing."""
    torch.manual_seed(turn)
    found = []
    module, entry = program.load(annotated=False)
    hints = getattr(module, "SIZES", {}).get(program.name, {})
    binder = Binder(module, program.signature, hints, turn)
    for positional, named in binder.arguments():
        try:
            with warnings.catch_warnings(action="ignore"):
                found.append(binder.complaint(entry(*positional, **named)))
        except Exception as error:  # noqa: BLE001 - whatever PyTorch raises
            found.append(f"line {place_of(error, program)}: {type(error).__name__}: {error}")
    return found


def place_of(error: Exception, program: Program) -> int:
    """The line of the file that raised; it must be one that is marked."""
    frames = traceback.extract_tb(error.__traceback__)
    line = [frame.lineno for frame in frames if frame.filename == str(program.file)][-1] or 0
    if program.broken and line not in {program.bug, *program.hurts}:
        raise AssertionError(f"{program.file}:{line} raises and is not marked") from error
    return line


@TURNS
@pytest.mark.parametrize("file", sorted({program.file.stem for program in RIGHT}))
def test_right(file, turn):
    found = {program.name: outcomes(program, turn) for program in RIGHT if program.file.stem == file}
    assert not {name: what for name, what in found.items() if any(what)}


@TURNS
@pytest.mark.parametrize("file", sorted({program.file.stem for program in BROKEN}))
def test_broken(file, turn):
    found = {program.name: outcomes(program, turn) for program in BROKEN if program.file.stem == file}
    assert not [name for name, what in found.items() if not any(what)], "they give what they declare"


def test_there_is_enough():
    names = [program.name for program in BROKEN + RIGHT]
    assert len(set(names)) == len(names)
    assert len(BROKEN) >= 120
    assert len(RIGHT) >= 120
