from __future__ import annotations

from benchmarks.row import Part, Row
from benchmarks.table import table, verdict

ROWS = [
    Row("one job", "eager", "1 s ± 1%", "8 s ± 1%", "8.00x", ">= 8x", met=True),
    Row("one job", "JAX", "1 s ± 1%", "not installed", "", ">= 3x"),
    Row("one job", "JAX, bf16", "1 s ± 1%", "1 s ± 1%", "1.00x"),
    Row("another job", "count", "3", target="<= 2", met=False),
]

SHOWN = """\
Tessera beside its peers

date     2026-01-02
machine  a machine

  peer        Tessera           peer  ratio  target  met

one job
  eager      1 s ± 1%       8 s ± 1%  8.00x   >= 8x  yes
  JAX        1 s ± 1%  not installed          >= 3x  ?
  JAX, bf16  1 s ± 1%       1 s ± 1%  1.00x

another job
  count             3                          <= 2  NO

1 targets met, 1 missed, 1 not measured.
"""


def test_the_table_is_this_text():
    found = table({"date": "2026-01-02", "machine": "a machine"}, Part(ROWS, ["a note"]))
    assert found.startswith(SHOWN)
    assert found.endswith("Notes\na note\n")


def test_without_notes_there_is_no_heading_for_them():
    assert "Notes" not in table({}, Part(ROWS))


def test_the_verdict_counts():
    assert verdict(ROWS) == "1 targets met, 1 missed, 1 not measured."
    assert verdict([]) == "0 targets met, 0 missed, 0 not measured."
