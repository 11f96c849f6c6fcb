from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from tessera import data
from tessera.cli.pipeline import _LOADER, _SOURCES, read_data
from tessera.data import Loader
from tessera.errors import SettingError, TesseraError

TOKENS = np.arange(1000, dtype=np.uint16)


@pytest.fixture
def tokens(project):
    TOKENS.tofile(project / "train.bin")
    (project / "own.py").write_text(
        "import torch\n"
        "def doubled(sample): return tuple(2 * part for part in sample)\n"
        "def even(sample): return int(sample[0][0]) % 16 == 0\n"
        "def stacked(samples): return torch.stack([sample[0] for sample in samples])\n"
        "class Batches:\n    def __iter__(self): return iter([1])\n"
        "def made(n=1): return list(range(n))\n"
        "ready = [1, 2]\n"
    )
    return project


def batches(loader) -> list:
    return [torch.cat([torch.as_tensor(part) for part in batch]) for batch in loader]


def read(entry, text, **options):
    return read_data(entry(text)["data"], **{"seed": None, "shuffle": True} | options)


@pytest.mark.parametrize(
    ("extra", "options"),
    [
        ("", {"batch_size": 32}),
        ("batch_size = 4, seed = 7, drop_last = true", {"batch_size": 4, "seed": 7, "drop_last": True}),
        ("batch_size = 4, shuffle = false", {"batch_size": 4, "shuffle": False}),
    ],
)
def test_a_table_is_a_loader_over_a_source(tokens, entry, extra, options):
    table = ", ".join(['source = "tokens", path = "train.bin", length = 8', *([extra] if extra else [])])
    found = read(entry, f"data = {{{table}}}")
    expected = Loader(data.tokens(tokens / "train.bin", 8), **options)
    for mine, theirs in zip(batches(found), batches(expected), strict=True):
        assert torch.equal(mine, theirs)


def test_seed_and_shuffle_are_the_runs_where_none_is_said(tokens, entry):
    text = 'data = {source = "tokens", path = "train.bin", length = 8, batch_size = 4}'
    source = data.tokens(tokens / "train.bin", 8)
    for options in ({"seed": 5, "shuffle": True}, {"seed": 5, "shuffle": False}):
        assert torch.equal(batches(read(entry, text, **options))[0], batches(Loader(source, 4, **options))[0])


def test_functions_of_the_user_are_applied(tokens, entry):
    found = read(
        entry,
        'data = {source = "tokens", path = "train.bin", length = 8, shuffle = false, batch_size = 2, '
        'filter = "own.py:even", map = "own.py:doubled", collate = "own.py:stacked"}',
    )
    assert next(iter(found)).tolist() == [list(range(0, 16, 2)), list(range(32, 48, 2))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('data = "own.py:ready"', [1, 2]),
        ('data = "own.py:made"', [0]),
        ('data = "own.py:Batches"', [1]),
        ('data = {name = "own.py:made", n = 3}', [0, 1, 2]),
    ],
)
def test_an_object_is_taken_and_what_makes_one_is_called(tokens, entry, text, expected):
    assert list(read(entry, text)) == expected


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("data = 3", "data = 3 is no table", 1),
        ("[data]\nbatch_size = 3", "[data] has 'batch_size'", 1),
        ('[data]\nsource = "parquett"\npath = "x"', "Write 'parquet'.", 2),
        ('[data]\nsource = ["a"]\npath = "x"', "There is no source ['a']", 2),
        ('[data]\nsource = "tokens"\npath = "none.bin"\nlength = 8', "none.bin' names no file", 1),
        ('[data]\nsource = "tokens"\npath = "train.bin"', "missing a required argument: 'length'", 1),
        ('[data]\nsource = "tokens"\npath = "train.bin"\nlength = 8\nbatchsize = 2', "Write 'batch_size'.", 5),
        ('[data]\nsource = "tokens"\npath = "train.bin"\nlength = 8\nworkers = -1', "workers", 1),
        ('[data]\nname = "own.py:made"\nm = 2', "made has no argument 'm'", 3),
        ('[data]\nsource = "tokens"\npath = "train.bin"\nlength = 8\nmap = "own.py:mapp"', "own.py has no 'mapp'", 5),
        ('[data]\nsource = "tokens"\npath = "train.bin"\nlength = 8\nmap = "own.py:torch"', "torch is a module", 5),
        ('[data]\nsource = "tokens"\npath = ["train.bin", 3]\nlength = 8', "data.path = ['train.bin', 3] was", 3),
        ('[data]\nsource = "tokens"\npath = "train.bin"\nlength = "8"', "length of tokens is a whole number", 4),
    ],
)
def test_what_cannot_be_read_names_its_line(tokens, entry, text, words, line):
    with pytest.raises(TesseraError) as caught:
        read(entry, text)
    assert words in str(caught.value)
    assert caught.value.where.line == line


def test_every_source_can_be_named():

    makers = {
        name
        for name, one in vars(data).items()
        if inspect.isfunction(one) and one.__annotations__["return"] == "Dataset"
    }
    assert makers - {"mix", "dataset", "arrays"} == set(_SOURCES)  # those are made of objects, not of a path


def test_no_key_means_two_things():

    for make in _SOURCES.values():
        assert not set(inspect.signature(make).parameters) & {*_LOADER, "source", "path", "map", "filter", "name"}


def test_a_data_table_that_names_no_object(entry):
    with pytest.raises(SettingError, match="names no object"):
        read(entry, 'data = {name = "train"}')
