"""How much of the corpus the checker finds: nearly all broken programs, and nothing in the right ones."""

from __future__ import annotations

import functools
import warnings

import pytest

import tessera
from tessera.check.finding import CheckReport
from tessera.nn.declared import verified_later
from tests.check.corpus.programs import Program, programs

BROKEN, RIGHT = programs("broken"), programs("right")
STEP = 12  # one in so many by default


@functools.cache
def report_of(program: Program) -> CheckReport:
    with warnings.catch_warnings(), verified_later():
        warnings.simplefilter("ignore")
        _, entry = program.load()
        return tessera.check(entry)


def missed(some: list[Program]) -> list[str]:
    return [program.name for program in some if report_of(program).ok]


def blamed_elsewhere(some: list[Program]) -> list[str]:
    return [program.name for program in some if all(error.line != program.bug for error in report_of(program).errors)]


def alarmed(some: list[Program]) -> list[str]:
    return [program.name for program in some if not report_of(program).ok]


def test_some_broken_programs_are_found():
    some = BROKEN[::STEP]
    assert len(missed(some)) <= 0.05 * len(some) + 1


def test_some_right_programs_give_no_alarm():
    assert alarmed(RIGHT[::STEP]) == []


@pytest.mark.slow
def test_of_all_broken_programs_95_percent_are_found():
    found = missed(BROKEN)
    assert len(found) <= 0.05 * len(BROKEN), found


@pytest.mark.slow
def test_of_all_broken_programs_85_percent_are_blamed_on_their_line():
    found = blamed_elsewhere(BROKEN)
    assert len(found) <= 0.15 * len(BROKEN), found


@pytest.mark.slow
def test_no_right_program_gives_an_alarm():
    assert alarmed(RIGHT) == []
