from __future__ import annotations

import gc

import pytest

from tessera.backend.executables import register, watched


class Thing:
    """What stands for a compiled Program."""


def test_those_alive_and_those_made_inside_are_seen():
    first, seen = Thing(), []
    register(first)
    with watched(seen.append):
        assert first in seen
        second = Thing()
        register(second)
        assert second in seen
    third = Thing()
    register(third)
    assert third not in seen


def test_nothing_is_kept_alive():
    gone, seen = Thing(), []
    register(gone)
    number = id(gone)
    del gone
    gc.collect()
    with watched(seen.append):
        assert number not in map(id, seen)


def test_an_error_ends_the_watch():
    seen, later = [], Thing()
    watch = watched(seen.append)
    with pytest.raises(ZeroDivisionError), watch:
        1 / 0  # noqa: B018
    register(later)
    assert later not in seen
