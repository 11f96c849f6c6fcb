"""The corpus is what it says: PyTorch itself runs the right programs, and refuses or disproves the broken ones."""

from __future__ import annotations

import pytest

from tests.check.corpus.programs import programs
from tests.check.corpus.running import outcomes

BROKEN, RIGHT = programs("broken"), programs("right")
TURNS = pytest.mark.parametrize(
    "turn", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)


@TURNS
@pytest.mark.parametrize("file", sorted({program.file.stem for program in RIGHT}))
def test_right(file, turn):
    found = {program.name: outcomes(program, turn) for program in RIGHT if program.file.stem == file}
    assert not {name: what for name, what in found.items() if any(outcome.complaint for outcome in what)}


@TURNS
@pytest.mark.parametrize("file", sorted({program.file.stem for program in BROKEN}))
def test_broken(file, turn):
    for program in BROKEN:
        if program.file.stem == file:
            found = outcomes(program, turn)
            assert any(outcome.complaint for outcome in found), f"{program.name} gives what it declares"
            for outcome in found:
                assert outcome.line in {None, program.bug, *program.hurts}, (
                    f"{program.name} raises elsewhere: {outcome}"
                )


def test_there_is_enough():
    names = [program.name for program in BROKEN + RIGHT]
    assert len(set(names)) == len(names)
    assert len(BROKEN) >= 120
    assert len(RIGHT) >= 120
