"""What a finding says."""

from __future__ import annotations

from tessera.backend.ranges.finding import Kind, NumericsFinding
from tessera.errors import SourceLine

FINDING = NumericsFinding(Kind.DIVISION, "warning", "It is zero.", "That is infinite.", "Write x + 1.", "x + 1")


def test_it_is_three_sentences_and_a_line():
    assert FINDING.message == "It is zero. That is infinite. Write x + 1."
    assert str(FINDING) == "warning: division by zero: It is zero. That is infinite. Write x + 1."
    where = SourceLine("model.py", 3, "y = 1 / x")
    there = NumericsFinding(Kind.DIVISION, "error", "a.", "b.", "c.", "d", where)
    assert str(there) == "error: division by zero: a. b. c.\n  at model.py:3  y = 1 / x"


def test_the_kinds_are_those_of_the_issue():
    assert {str(kind) for kind in Kind} == {
        "overflow", "underflow", "division by zero", "domain", "cancellation", "low-precision accumulation",
    }  # fmt: skip
