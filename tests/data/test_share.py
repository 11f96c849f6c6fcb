from __future__ import annotations

import pytest

from tessera.data.share import Share, Stretches
from tessera.errors import SettingError


def test_the_parts_are_the_batch():
    ranks = [Share(12, rank, 4) for rank in range(4)]
    assert [place for rank in ranks for place in rank.mine] == list(range(12))
    assert [rank.part(100, 112) for rank in ranks] == [(100, 103), (103, 106), (106, 109), (109, 112)]
    assert [rank.part(112, 116) for rank in ranks] == [(112, 113), (113, 114), (114, 115), (115, 116)]
    assert {rank.size for rank in ranks} == {3}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            (0,),
            "^batch_size=0 was passed. batch_size is a whole number of at least 1. Write for example batch_size=32.$",
        ),
        ((2.0,), "^batch_size=2.0 was passed"),
        ((True,), "^batch_size=True was passed"),
        ((4, 0, 0), "^world_size=0 was passed"),
        ((4, 2, 2), "^rank=2 of world_size=2 was passed. rank is a whole number from 0 to 1"),
        ((4, -1, 2), "^rank=-1 of"),
        ((4, 0, 3), "^batch_size=4 was passed for world_size=3. .* Write for example batch_size=6.$"),
    ],
)
def test_what_makes_no_sense(arguments, words):
    with pytest.raises(SettingError, match=words):
        Share(*arguments)


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        (Stretches(0, 7, 3, whole=False), [(0, 3), (3, 6), (6, 7)]),
        (Stretches(0, 7, 3, whole=True), [(0, 3), (3, 6)]),
        (Stretches(2, 8, 3, whole=True), [(2, 5), (5, 8)]),
        (Stretches(7, 7, 3, whole=False), []),
    ],
)
def test_stretches(stretches, expected):
    assert list(stretches) == expected
    assert len(stretches) == len(expected)
