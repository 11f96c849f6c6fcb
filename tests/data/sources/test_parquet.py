from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tessera.data import Loader, parquet
from tessera.errors import DataError, DataStateError, EmptyDatasetError, MissingDependencyError, SettingError
from tests.data.sources.tables import check_rows, table

SIZES = (23, 0, 40, 7)
ROWS = sum(SIZES)


@pytest.fixture
def folder(tmp_path):
    first = 0
    for number, size in enumerate(SIZES):
        pq.write_table(table(size, first), tmp_path / f"{number}.parquet", row_group_size=9)
        first += size
    return tmp_path


def samples(loader):
    return [sample for batch in loader for sample in batch]


@pytest.mark.parametrize("memory_mib", [256, 1e-9, 0.003])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_once_whatever_is_held(folder, memory_mib, shuffle):
    loader = Loader(parquet(folder, memory_mib=memory_mib), 11, shuffle=shuffle, collate=list)
    for _ in range(2):
        ids = check_rows(samples(loader))
        assert sorted(ids) == list(range(ROWS))
        assert (ids != sorted(ids)) == shuffle


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_workers_read_the_same(folder, kind):
    def make(**options):
        return Loader(parquet(folder, columns=["id", "text"], memory_mib=0.003), 8, **options)

    expected = [(batch["id"].tolist(), batch["text"]) for batch in make()]
    with make(workers=2, worker_kind=kind) as loader:
        assert [(batch["id"].tolist(), batch["text"]) for batch in loader] == expected


def test_a_batch_is_tensors_where_there_are_numbers(folder):
    batch = next(iter(Loader(parquet(folder, columns=["id", "x", "flag", "text"]), 4, shuffle=False)))
    assert {name: part.dtype for name, part in batch.items() if name != "text"} == {
        "id": torch.int64,
        "x": torch.float32,
        "flag": torch.bool,
    }
    assert batch["x"].tolist() == [[n, n, n] for n in (0.0, 1.0, 2.0, 3.0)]
    assert batch["text"] == ["row 0", "row 1", "row 2", "row 3"]


def test_what_was_taken_stays_when_other_groups_are_read(folder):
    loader = Loader(parquet(folder, columns=["id"], memory_mib=1e-9), 9, shuffle=False)
    assert torch.cat([batch["id"] for batch in loader]).tolist() == list(range(ROWS))


def test_a_group_is_read_once_in_an_epoch(folder, monkeypatch):
    data = parquet(folder, columns=["id"], memory_mib=0.0006)
    assert 1 < data.source.width < len(data.source.sizes)
    read, real = [], data.source._held._read
    monkeypatch.setattr(data.source._held, "_read", lambda group: read.append(group) or real(group))
    list(Loader(data, 3))
    assert sorted(read) == list(range(len(data.source.sizes)))


def test_a_corrupt_row_group_names_its_file_and_rows_and_the_rest_can_be_read(folder, caplog):
    path = folder / "2.parquet"
    where = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    raw = bytearray(path.read_bytes())
    raw[where : where + 40] = b"\xff" * 40
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"2\.parquet, rows 9 to 17 \(group 1\), cannot be read"):
        list(Loader(parquet(folder, columns=["id"]), 8))
    lost = set(range(23 + 9, 23 + 18))
    for workers in (0, 1):
        with Loader(parquet(folder, columns=["id"]), 8, on_error="skip", workers=workers) as loader:
            found = torch.cat([batch["id"] for batch in loader]).tolist()
        assert sorted(found) == [number for number in range(ROWS) if number not in lost]
        assert len(loader.skipped) == 9
        assert caplog.text.count("left out: ") == 1  # and not for each row
        caplog.clear()


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_a_file_that_is_no_parquet_is_named(folder, damage):
    raw = (folder / "0.parquet").read_bytes()
    content = {"truncated": raw[: len(raw) // 2], "text": b"id,x\n1,2\n" * 10, "empty": b""}[damage]
    (folder / "1.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"1\.parquet cannot be read"):
        parquet(folder)


def test_a_null_is_named_and_can_be_left_out(tmp_path):
    pq.write_table(pa.table({"n": [0, 1, None, 3, 4]}), tmp_path / "a.parquet", row_group_size=2)
    with pytest.raises(DataError, match=r"a\.parquet, row 2: column 'n' is null\."):
        list(Loader(parquet(tmp_path), 5))
    loader = Loader(parquet(tmp_path), 5, shuffle=False, on_error="skip")
    assert [batch["n"].tolist() for batch in loader] == [[0, 1, 3, 4]]


def test_files_of_other_columns(folder):
    pq.write_table(pa.table({"id": ["one"]}), folder / "9.parquet")
    with pytest.raises(DataError, match=r"9\.parquet has column 'id' of type string\. .* where it is int64"):
        parquet(folder)
    with pytest.raises(DataError, match=r"9\.parquet has no column 'text'"):
        parquet(folder, columns=["text"])


def test_columns_that_are_not_there(folder):
    with pytest.raises(SettingError, match=r"^Column 'y' was asked for\. .* has the columns 'id', 'x'"):
        parquet(folder, columns=["id", "y"])
    with pytest.raises(SettingError, match="^No column was asked for"):
        parquet(folder, columns=[])


def test_a_name_with_a_dot_and_a_nested_column_count_as_memory(tmp_path):
    rows = {"dotted.name": np.arange(1000.0), "nested": [{"x": float(n)} for n in range(1000)], "n": np.arange(1000)}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet", row_group_size=100, compression="none", use_dictionary=False)
    for columns, most in ((["dotted.name"], 5), (["nested"], 5), (["dotted.name", "nested"], 3)):
        assert 1 <= parquet(tmp_path, columns=columns, memory_mib=0.004).source.width <= most
    assert parquet(tmp_path, memory_mib=float("inf")).source.width == 10


@pytest.mark.parametrize("memory_mib", [0, -1, float("nan"), "1"])
def test_memory_that_makes_no_sense(folder, memory_mib):
    with pytest.raises(SettingError, match="It is a positive number of MiB"):
        parquet(folder, memory_mib=memory_mib)


def test_no_rows_and_no_files(tmp_path):
    with pytest.raises(EmptyDatasetError, match="names no file"):
        parquet(tmp_path)
    pq.write_table(table(0), tmp_path / "a.parquet")
    with pytest.raises(EmptyDatasetError, match="has no samples"):
        Loader(parquet(tmp_path), 4)


def test_another_window_is_another_order(folder):
    saved = Loader(parquet(folder, memory_mib=0.003), 4).state_dict()
    with pytest.raises(DataStateError, match="window"):
        Loader(parquet(folder), 4).load_state_dict(saved)


def test_a_file_that_changes_meanwhile(folder):
    data = parquet(folder / "0.parquet", columns=["id"])
    pq.write_table(table(23), folder / "0.parquet", row_group_size=10)
    with pytest.raises(DataError, match=r"rows 0 to 8 \(group 0\), now has 10 rows"):
        list(Loader(data, 4, shuffle=False))


def test_without_pyarrow(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"^pyarrow is not installed\. .*pip install 'tessera\[data\]'"):
        parquet(folder)


def test_ragged_rows_are_packed(folder):
    loader = Loader(parquet(folder, columns=["ragged"]).map(tokens_of, random=False).pack(5), 2, shuffle=False)
    found = np.concatenate([x.flatten() for x, _ in loader])
    expected = [number for number in range(ROWS) for _ in range(number % 4)]
    assert found.tolist() == expected[: len(found)]
    assert len(expected) - len(found) <= 5


def tokens_of(row):
    return row["ragged"]
