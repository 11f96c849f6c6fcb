from __future__ import annotations

from tessera.data.cursor import Cursor


def test_the_beginning_and_what_is_later():
    assert Cursor() == Cursor(0, 0) < Cursor(0, 3) < Cursor(1, 0)
