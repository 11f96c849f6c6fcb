from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tessera.data.sources.row_groups import RowGroups, check_alike, chosen_columns, need_pyarrow
from tessera.errors import DataError, MissingDependencyError, SettingError


class Located(RowGroups):
    def take(self, groups, rows, empty):
        return {"place": [f"{self.places[group]}:{row}" for group, row in zip(groups, rows, strict=True)]}


@pytest.fixture
def source():
    return Located([Path("a"), Path("b"), Path("c")], [[3, 2], [0], [4]], ["place"])


def test_an_index_is_a_row_of_a_group(source):
    assert len(source) == 9
    assert source.batch(np.array([0, 2, 3, 5, 8]))["place"] == [
        "(0, 0):0",
        "(0, 0):2",
        "(0, 1):0",
        "(2, 0):0",
        "(2, 0):3",
    ]
    assert [sample["place"] for sample in source.samples(np.array([4]))] == ["(0, 1):1"]


def test_names(source):
    assert [source.name(index) for index in (0, 4, 5, 8)] == ["a, row 0", "a, row 4", "c, row 0", "c, row 3"]
    assert source.rows_of_group(1) == ", rows 3 to 4 (group 1),"


def test_nulls(source):
    source.check_nulls(np.array([False, False]), np.array([0, 1]), np.array([0, 1]), "n")
    with pytest.raises(DataError, match="^a, row 4: column 'n' is null"):
        source.check_nulls(np.array([False, True]), np.array([0, 1]), np.array([0, 1]), "n")


def test_columns():
    assert chosen_columns(["a", "b"], None, Path("f")) == ["a", "b"]
    assert chosen_columns(["a", "b"], ["b"], Path("f")) == ["b"]
    with pytest.raises(SettingError, match="Column 'c' was asked for"):
        chosen_columns(["a"], ["a", "c"], Path("f"))
    assert chosen_columns(["a", "b"], ["b", "b"], Path("f")) == ["b"]
    assert chosen_columns(["a", "b", "a"], ["b"], Path("f")) == ["b"]
    with pytest.raises(SettingError, match="^f has several columns with the name 'a'"):
        chosen_columns(["a", "b", "a"], None, Path("f"))
    with pytest.raises(SettingError, match=r"^columns='ab' was passed\. .* Write columns=\['ab'\]"):
        chosen_columns(["a", "b"], "ab", Path("f"))


def test_schemas():
    first, other = pa.schema({"a": pa.int64()}), pa.schema({"a": pa.int32()})
    check_alike(first, first, Path("g"), Path("f"), ["a"])
    with pytest.raises(DataError, match="^g has column 'a' of type int32"):
        check_alike(other, first, Path("g"), Path("f"), ["a"])


def test_pyarrow_is_needed(monkeypatch):
    need_pyarrow()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError):
        need_pyarrow()
