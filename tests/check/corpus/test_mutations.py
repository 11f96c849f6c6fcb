"""A mutant is a right program with one line changed, and PyTorch shows that its shapes are wrong."""

from __future__ import annotations

import ast

from tests.check.corpus.mutations import edits_of, mutants
from tests.check.corpus.programs import programs
from tests.check.corpus.running import outcomes


def test_one_line_is_changed_and_wrong(tmp_path):
    original = {program.name: program for program in programs("right")}
    made = list(mutants(tmp_path, 6, seed=1))
    assert len({mutant.kind for mutant in made}) == 6
    for mutant in made:
        before, after = (p.file.read_text().splitlines() for p in (original[mutant.program.name], mutant.program))
        changed = [number for number, lines in enumerate(zip(before, after, strict=True), 1) if lines[0] != lines[1]]
        assert changed == [mutant.program.bug]
        assert any(outcome.complaint for outcome in outcomes(mutant.program, 0))


def test_every_kind_of_edit_is_met():
    kinds = {edit.kind for program in programs("right") for edit in edits_of(program)}
    assert kinds == {
        *("annotation", "arguments", "cat/stack", "dim", "einsum", "index"),
        *("keepdim", "layer size", "left out", "matmul", "slice", "transpose", "view"),
    }


def test_every_edit_leaves_python():
    for program in programs("right"):
        lines = program.file.read_text().splitlines()
        for edit in edits_of(program):
            line = lines[edit.node.lineno - 1].encode()
            ast.parse(edit.text)
            assert line[edit.node.col_offset : edit.node.end_col_offset].decode() != edit.text, edit
