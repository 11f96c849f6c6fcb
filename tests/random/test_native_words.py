from __future__ import annotations

import pytest
import torch

from tessera.random import native_words as file
from tessera.random.native_words import native_words
from tessera.random.words import _by_operations


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (63,), (64,), (65,), (7, 33), (1 << 18) + 5], ids=str)
@pytest.mark.parametrize("key", [0, 1, 2**63 - 2, 0x0123456789ABCDEF])
def test_they_are_the_words_of_the_operations(shape, key):
    shape = shape if isinstance(shape, tuple) else (shape,)
    key = torch.tensor(key)
    for stream in (0, 3):
        words = native_words(key, shape, stream)
        assert torch.equal(words, _by_operations(key, shape, stream))


def test_without_a_compiler_there_are_none(monkeypatch):
    monkeypatch.setattr(file.shutil, "which", lambda _: None)
    file._function.cache_clear()
    assert native_words(torch.tensor(1), (3,), 0) is None
    monkeypatch.undo()
    file._function.cache_clear()
    assert native_words(torch.tensor(1), (3,), 0) is not None


def test_a_compiler_that_fails_is_no_error(monkeypatch):
    monkeypatch.setattr(file, "_SOURCE", "no C++")
    file._function.cache_clear()
    assert native_words(torch.tensor(1), (3,), 0) is None
    monkeypatch.undo()
    file._function.cache_clear()
