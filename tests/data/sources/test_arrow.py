from __future__ import annotations

import pyarrow as pa
import pytest

from tessera.data import Loader, arrow
from tessera.errors import DataError
from tests.data.sources.tables import check_rows, table


@pytest.fixture
def folder(tmp_path):
    with pa.ipc.new_file(tmp_path / "a.arrow", table(1).schema) as file:
        file.write_table(table(30), max_chunksize=7)
    with pa.ipc.new_stream(tmp_path / "b.arrow", table(1).schema) as file:
        file.write_table(table(0, 30))
        file.write_table(table(20, 30), max_chunksize=9)
    return tmp_path


def test_both_formats_and_every_row_once(folder):
    loader = Loader(arrow(folder), 8, collate=list)
    for _ in range(2):
        ids = check_rows([sample for batch in loader for sample in batch])
        assert sorted(ids) == list(range(50))
        assert ids != sorted(ids)


def test_a_shuffle_is_a_full_one(folder):
    ids = [int(n) for batch in Loader(arrow(folder, columns=["id"]), 8) for n in batch["id"]]
    assert len({number // 10 for number in ids[:10]}) > 2


def test_workers_map_the_files_themselves(folder):
    expected = [batch["id"].tolist() for batch in Loader(arrow(folder, columns=["id"]), 8)]
    with Loader(arrow(folder, columns=["id"]), 8, workers=2, worker_kind="process") as loader:
        assert [batch["id"].tolist() for batch in loader] == expected


def test_a_row_is_named(folder):
    assert arrow(folder).source.name(33) == f"{folder / 'b.arrow'}, row 3"


def test_a_null_is_named(tmp_path):
    with pa.ipc.new_file(tmp_path / "a.arrow", pa.schema({"n": pa.int64()})) as file:
        file.write_table(pa.table({"n": [1, 2]}))
        file.write_table(pa.table({"n": [3, None]}))
    with pytest.raises(DataError, match=r"a\.arrow, row 3: column 'n' is null"):
        list(Loader(arrow(tmp_path), 4))


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_a_file_that_is_no_arrow_is_named(folder, damage):
    raw = (folder / "a.arrow").read_bytes()
    (folder / "a.arrow").write_bytes({"truncated": raw[: len(raw) // 2], "text": b"hello" * 99, "empty": b""}[damage])
    with pytest.raises(DataError, match=r"a\.arrow cannot be read"):
        arrow(folder)
