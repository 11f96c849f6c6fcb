from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.data import Loader, tokens
from tessera.errors import DataError, DataStateError, EmptyDatasetError, SettingError


@pytest.fixture
def folder(tmp_path):
    np.arange(100, dtype=np.uint16).tofile(tmp_path / "a.bin")
    np.save(tmp_path / "b.npy", np.arange(1000, 1041, dtype=np.int32))
    return tmp_path


def test_windows_of_all_files(folder):
    loader = Loader(tokens([folder / "a.bin", folder / "b.npy"], 10), 4, shuffle=False)
    x, y = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert x.dtype == y.dtype == torch.int64
    assert x.is_contiguous()
    assert y.is_contiguous()
    expected = [*range(0, 90, 10), 1000, 1010, 1020, 1030]
    assert x[:, 0].tolist() == expected
    assert torch.equal(y, x + 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_map_the_files_themselves(folder, workers):
    expected = [x.tolist() for x, _ in Loader(tokens(folder, 7, dtype="uint16"), 3)]
    with Loader(tokens(folder, 7, dtype="uint16"), 3, workers=workers, worker_kind="process") as loader:
        assert [x.tolist() for x, _ in loader] == expected


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32", "int64", "uint64"])
def test_dtypes(tmp_path, dtype):
    np.arange(21, dtype=dtype).tofile(tmp_path / "x.bin")
    ((x, y),) = Loader(tokens(tmp_path / "x.bin", 10, dtype=dtype), 2, shuffle=False)
    assert x.flatten().tolist() == list(range(20))
    assert y[-1, -1] == 20


def test_any_window_is_the_tokens_at_its_place(tmp_path):
    draw = np.random.default_rng(0)
    for length in draw.integers(1, 40, 10).tolist():
        size = int(draw.integers(length + 1, 500))
        found = draw.integers(0, 60_000, size, dtype=np.uint16)
        found.tofile(tmp_path / "x.bin")
        data = tokens(tmp_path / "x.bin", length)
        assert len(data) == (size - 1) // length
        for number in range(len(data)):
            x, y = data[number]
            first = number * length
            assert np.array_equal(x, found[first : first + length])
            assert np.array_equal(y, found[first + 1 : first + length + 1])


def test_a_window_is_named(folder):
    source = tokens([folder / "a.bin", folder / "b.npy"], 10).source
    assert source.name(9) == f"{folder / 'b.npy'}, tokens 0 to 10"
    assert source.name(8) == f"{folder / 'a.bin'}, tokens 80 to 90"


def test_files_that_are_no_token_files(folder):
    cases = {
        "floats.npy": lambda path: np.save(path, np.ones(50)),
        "table.npy": lambda path: np.save(path, np.ones((5, 5), np.int64)),
        "objects.npy": lambda path: np.save(path, np.array([{}, []], object), allow_pickle=True),
        "short.npy": lambda path: path.write_bytes((folder / "b.npy").read_bytes()[:100]),
        "odd.bin": lambda path: path.write_bytes(b"123"),
        "text.npy": lambda path: path.write_text("hello"),
    }
    for name, write in cases.items():
        write(folder / name)
        with pytest.raises(DataError, match=name):
            tokens(folder / name, 4)


def test_too_few_tokens_and_none(folder):
    (folder / "empty.bin").write_bytes(b"")
    for path in ("empty.bin", "b.npy"):
        with pytest.raises(EmptyDatasetError, match="have no window of 41 tokens and one target"):
            tokens(folder / path, 41)
    assert len(tokens([folder / "empty.bin", folder / "a.bin"], 10)) == 9


@pytest.mark.parametrize("arguments", [(0,), (1.5,), (True,), (8, "float32"), (8, "O"), (8, "uint17")])
def test_what_makes_no_sense(folder, arguments):
    with pytest.raises(SettingError):
        tokens(folder / "a.bin", arguments[0], **({"dtype": arguments[1]} if len(arguments) > 1 else {}))


def test_a_file_that_grew_is_other_data(folder):
    saved = Loader(tokens(folder / "a.bin", 10), 2).state_dict()
    np.arange(120, dtype=np.uint16).tofile(folder / "a.bin")
    with pytest.raises(DataStateError, match=r"files\[0\]\[1\] is 240 here and was 200"):
        Loader(tokens(folder / "a.bin", 10), 2).load_state_dict(saved)
