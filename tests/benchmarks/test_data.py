"""All ways to read the data read the same data."""

from __future__ import annotations

import pytest

from benchmarks import data
from benchmarks.measure import Timing
from benchmarks.plan import Plan
from tessera.data import parquet, tokens

SIZE = data.Size(tokens=20_001, length=50, rows=300, width=4, group=64, batch=16, row_batch=32)


@pytest.fixture
def token_file(tmp_path):
    return data.write_tokens(tmp_path, SIZE)


@pytest.fixture
def rows_file(tmp_path):
    return data.write_rows(tmp_path, SIZE)


def test_all_ways_to_read_tokens_agree(token_file):
    expected = data.bare_tokens(token_file, SIZE)()
    assert expected > 0
    assert data.by_loader(lambda: tokens(token_file, SIZE.length), SIZE.batch, 0)() == expected
    assert data.by_torch(data.Windows(token_file, SIZE.length), SIZE.batch, 0)() == expected


def test_all_ways_to_read_rows_agree(rows_file):
    expected = data.bare_rows(rows_file, SIZE)()
    assert expected > 0
    assert data.by_loader(lambda: parquet(rows_file), SIZE.row_batch, 0)() == expected
    assert data.by_torch(data.Rows(rows_file), SIZE.row_batch, 0)() == expected


def test_workers_agree(token_file):
    windows = tokens(token_file, SIZE.length)
    for each in (windows, windows.map(data.masked, random=False)):
        assert data.by_loader(lambda each=each: each, SIZE.batch, 2)() == data.bare_tokens(token_file, SIZE)()


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(data, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((1.0,), 9.0, 1.0)))
    rows = data.measure(Plan(), SIZE).rows
    of_a_file = [("bare read", ">= 0.909x"), ("torch DataLoader", ">= 1x")] * 2
    assert [(row.peer.split(",")[0], row.target) for row in rows] == [*of_a_file, of_a_file[1], *of_a_file]
