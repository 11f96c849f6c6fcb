import random

import pytest

from tessera.backend.memory.placement import ALIGNMENT, Allocation, aligned, extent, placement

UNIT = 16 * ALIGNMENT


def peak(lives):
    """Bytes that exist at once."""
    ends = [float("inf") if one.end is None else one.end for one in lives]
    return max(
        sum(aligned(b.size) for b, end in zip(lives, ends, strict=True) if b.start <= a.start < end) for a in lives
    )


def overlaps(lives, starts):
    """Pairs that live at the same time in the same place."""
    found = []
    for i, a in enumerate(lives):
        for j, b in enumerate(lives[:i]):
            apart = starts[i] + a.size <= starts[j] or starts[j] + b.size <= starts[i]
            after = (a.end is not None and a.end <= b.start) or (b.end is not None and b.end <= a.start)
            if not apart and not after:
                found.append((i, j))
    return found


def test_what_follows_takes_the_same_place():
    lives = [Allocation(UNIT, 0, 2), Allocation(UNIT, 2, 4), Allocation(UNIT, 4)]
    assert placement(lives) == [0, 0, 0]


def test_what_nobody_lets_go_of_is_never_overwritten():
    lives = [Allocation(UNIT, 0), Allocation(UNIT, 5)]
    assert sorted(placement(lives)) == [0, UNIT]


def test_nothing_takes_nothing():
    assert placement([]) == []
    assert extent([], []) == 0


@pytest.mark.parametrize("seed", range(20))
def test_random_buffers_never_overlap_and_take_little_more_than_exists_at_once(seed):
    draw = random.Random(seed)
    lives = []
    for _ in range(draw.randint(1, 80)):
        start = draw.randint(0, 100)
        end = draw.choice([start + draw.randint(1, 40), None])
        lives.append(Allocation(draw.choice([1, 100, UNIT, 3 * UNIT, draw.randint(1, 10 * UNIT)]), start, end))
    starts = placement(lives)
    assert not overlaps(lives, starts)
    assert all(start % ALIGNMENT == 0 for start in starts)
    assert peak(lives) <= extent(lives, starts) <= 1.3 * peak(lives)
