from __future__ import annotations

from tessera.program import BufferLife, live_bytes


def test_bytes_during_each_call():
    lives = [BufferLife("a", 10, 0, 2), BufferLife("b", 5, 1, 3), BufferLife("result", 1, 2, 3)]
    assert live_bytes(lives, 3) == [10, 15, 6]


def test_what_begins_after_the_last_call_counts_nowhere():
    assert live_bytes([BufferLife("a", 10, 2, 2)], 2) == [0, 0]
    assert live_bytes([], 0) == []
