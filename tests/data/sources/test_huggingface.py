from __future__ import annotations

import sys

import pytest

from tessera.data import Loader, huggingface
from tessera.errors import DataError, MissingDependencyError, SettingError
from tests.data.functions import negated, plain


@pytest.fixture(scope="module")
def datasets():
    found = pytest.importorskip("datasets")
    found.disable_progress_bars()
    return found


@pytest.fixture
def rows(datasets):
    return datasets.Dataset.from_dict(
        {"n": list(range(30)), "x": [[n, n + 1] for n in range(30)], "text": list("abc" * 10)}
    )


def test_in_memory_and_from_disk_are_the_same(rows, tmp_path):
    rows.save_to_disk(tmp_path / "rows")
    expected = [plain(batch) for batch in Loader(rows, 7)]
    assert sorted(n for batch in expected for n in batch["n"]) == list(range(30))
    assert all(batch["x"] == [[n, n + 1] for n in batch["n"]] for batch in expected)
    for workers, kind in ((0, "auto"), (2, "auto"), (2, "process")):
        with Loader(huggingface(tmp_path / "rows"), 7, workers=workers, worker_kind=kind) as loader:
            assert [plain(batch) for batch in loader] == expected


def test_chosen_rows_and_splits(datasets, rows, tmp_path):
    halves = datasets.DatasetDict({"train": rows.select([5, 3]), "test": rows.shuffle(seed=0)})
    halves.save_to_disk(tmp_path / "halves")
    data = huggingface(tmp_path / "halves", split="train")
    assert next(iter(Loader(data, 2, shuffle=False)))["n"].tolist() == [5, 3]
    with pytest.raises(SettingError, match=r"^split=None was passed\. The dataset has the splits 'train', 'test'"):
        huggingface(tmp_path / "halves")


@pytest.mark.parametrize("of", [None, "x"])
def test_a_null_is_no_zero(datasets, of):
    values = {"n": [1.0, None, 3.0], "x": [[1, 2], [3, None], [4, 5]], "text": ["a", None, "c"]}
    rows = datasets.Dataset.from_dict(values).select([2, 1, 0])
    data = huggingface(rows if of is None else rows.select_columns([of, "text"]))
    for loader in (Loader(data, 3, shuffle=False), Loader(data.map(dict), 3, shuffle=False)):
        with pytest.raises(DataError, match=f"^row 1 of the Hugging Face dataset: column '{of or 'n'}' is null"):
            list(loader)
    (batch,) = Loader(data, 3, shuffle=False, on_error="skip")
    assert batch["x"].tolist() == [[4, 5], [1, 2]]
    assert batch["text"] == ["c", "a"]


def test_chosen_columns_and_transforms(datasets, rows):
    formatted = rows.with_format("torch", columns=["x"])
    assert list(huggingface(formatted)[0]) == ["x"]
    assert list(huggingface(rows.with_format("torch", columns=["x"], output_all_columns=True))[0]) == ["n", "x", "text"]
    transformed = rows.with_transform(negated)
    for data in (transformed, huggingface(transformed)):
        for workers in (0, 2):
            with Loader(data, 30, shuffle=False, workers=workers) as loader:
                assert [batch["n"].tolist() for batch in loader] == [[-n for n in range(30)]]


def test_a_folder_that_is_none(datasets, tmp_path):
    with pytest.raises(DataError, match="nothing cannot be read"):
        huggingface(tmp_path / "nothing")


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"tessera\[huggingface\]"):
        huggingface("rows")
