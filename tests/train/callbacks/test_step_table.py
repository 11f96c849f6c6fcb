from __future__ import annotations

import pytest

from tessera.train.callbacks.step_table import StepTable


def test_cells_of_one_step_meet_in_one_row(tmp_path):
    table = StepTable(tmp_path / "t.csv")
    table.open(0)
    table.put(2, {"a": "1"})
    table.put(2, {"a": "10", "b": "2"})
    table.put(4, {"b": "3"})
    assert table.path.read_text() == "step,a,b\n2,10,2\n4,,3\n"
    assert table.last_step == 4


def test_a_row_that_gets_shorter_leaves_nothing_behind(tmp_path):
    table = StepTable(tmp_path / "t.csv")
    table.open(0)
    table.put(2, {"a": "long long"})
    table.put(2, {"a": "é"})
    table.put(3, {"a": "x"})
    assert table.path.read_text() == "step,a\n2,é\n3,x\n"


def test_rows_after_the_step_go_and_the_last_one_kept_goes_on(tmp_path):
    (tmp_path / "t.csv").write_text("step,a\n1,é\n2,y\n3,z\n4")
    table = StepTable(tmp_path / "t.csv")
    table.open(2)
    assert table.last_step == 2
    table.put(2, {"b": "1"})
    table.put(5, {"a": "w"})
    assert table.path.read_text() == "step,a,b\n1,é,\n2,y,1\n5,w,\n"


@pytest.mark.parametrize("rest", ["3,", "3,x", "3,x,y\n", "\0\0\0", "\n"])
def test_what_was_cut_off_is_removed(tmp_path, rest):
    (tmp_path / "t.csv").write_text("step,a\n1,x\n" + rest)
    table = StepTable(tmp_path / "t.csv")
    table.open(9)
    assert table.path.read_text() == "step,a\n1,x\n"


def test_a_file_that_was_not_there_begins_with_its_head(tmp_path):
    table = StepTable(tmp_path / "deep" / "t.csv")
    table.open(7)
    assert (table.path.read_text(), table.last_step) == ("step\n", 0)
