import random

import pytest
import torch

from tessera.backend.memory.arena import Arena
from tessera.backend.memory.placement import Allocation, extent, placement
from tessera.backend.memory_pool import SMALLEST

BLOCK = SMALLEST // 4  # floats
ONE = ((BLOCK,), (1,), torch.float32)


def place(tensor):
    return tensor.untyped_storage().data_ptr()


def test_buffers_lie_side_by_side_and_gaps_are_used_again():
    arena = Arena([], 8 * SMALLEST)
    first, second, third = (arena.allocate(*ONE) for _ in range(3))
    assert place(second) - place(first) == place(third) - place(second) == SMALLEST
    where = place(second)
    del second
    assert place(arena.allocate(*ONE)) == where


def test_two_small_gaps_side_by_side_hold_a_large_buffer():
    arena = Arena([], 8 * SMALLEST)
    first, second, third = (arena.allocate(*ONE) for _ in range(3))
    where = place(first)
    del first, second
    double = arena.allocate((BLOCK,), (1,), torch.float64)
    assert place(double) == where
    assert place(third) == where + 2 * SMALLEST


def test_a_view_keeps_its_place():
    arena = Arena([], 4 * SMALLEST)
    whole = arena.allocate(*ONE).fill_(1)
    view, where = whole[3:5], place(whole)
    del whole
    other = arena.allocate(*ONE).fill_(2)
    assert place(other) != where
    assert view.tolist() == [1, 1]


def test_what_does_not_fit_and_what_is_small_comes_from_elsewhere():
    arena = Arena([], 2 * SMALLEST)
    held = [arena.allocate(*ONE).fill_(n) for n in range(4)]
    small = arena.allocate((2, 3), (3, 1), torch.int64).fill_(9)
    assert [int(h[0]) for h in held] == [0, 1, 2, 3]
    assert small.shape == (2, 3)


def test_memory_outlives_the_arena():
    arena = Arena([], 2 * SMALLEST)
    held = arena.allocate(*ONE).fill_(7)
    del arena
    assert held.sum() == 7 * BLOCK


@pytest.mark.parametrize("seed", range(3))
def test_no_two_live_buffers_share_a_byte(seed):
    draw, arena = random.Random(seed), Arena([], 24 * SMALLEST)
    live = {}
    for number in range(150):
        if live and draw.random() < 0.5:
            key = draw.choice(list(live))
            assert bool((live.pop(key) == key).all())
        rows = draw.randint(BLOCK // 4, 3 * BLOCK) // 64
        dtype = draw.choice([torch.float32, torch.float64, torch.int32])
        live[number] = arena.allocate((rows, 64), (1, rows), dtype).fill_(number)
        if len(live) > 8:
            key = draw.choice(list(live))
            assert bool((live.pop(key) == key).all())
    for key, value in live.items():
        assert bool((value == key).all())


def test_buffers_go_where_they_were_foreseen_at_every_run():
    arena = Arena([2 * SMALLEST, 0, SMALLEST], 8 * SMALLEST)
    first = None
    for announced in (True, False, True, False):
        if announced:
            arena.begin()
        places = [place(buffer) for buffer in [arena.allocate(*ONE) for _ in range(3)]]
        first = first or places[1]
        assert [at - first for at in places] == [2 * SMALLEST, 0, SMALLEST]


def test_a_run_that_did_not_come_to_its_end_leaves_no_trace():
    arena = Arena([2 * SMALLEST, 0], 8 * SMALLEST)
    where = place(arena.allocate(*ONE))
    arena.begin()
    assert place(arena.allocate(*ONE)) == where


def test_what_somebody_still_holds_is_not_overwritten():
    arena = Arena([0, SMALLEST], 8 * SMALLEST)
    kept = arena.allocate(*ONE).fill_(1)
    arena.begin()
    other = arena.allocate(*ONE).fill_(2)
    third = arena.allocate(*ONE).fill_(3)
    assert [int(one[-1]) for one in (kept, other, third)] == [1, 2, 3]


def test_pages_are_given_back_only_where_nobody_holds_any():
    arena = Arena([0, SMALLEST], 8 * SMALLEST)
    kept = arena.allocate(*ONE).fill_(1)
    assert not arena.release()
    assert int(kept[-1]) == 1
    del kept
    assert arena.release()
    assert int(arena.allocate(*ONE)[0]) == 0


@pytest.mark.parametrize("seed", range(6))
def test_runs_that_are_not_as_foreseen_share_no_byte_either(seed):
    draw = random.Random(seed)
    lives = [
        Allocation(4 * draw.randint(SMALLEST // 4, SMALLEST), at, draw.choice([at + draw.randint(1, 9), None]))
        for at in range(24)
    ]
    starts = placement(lives)
    arena = Arena(starts, 2 * extent(lives, starts))
    live = {}
    for run in range(6):
        arena.begin()
        for at, foreseen in enumerate(lives):
            size = foreseen.size if draw.random() < 0.8 else draw.randint(4 * BLOCK, 16 * BLOCK)
            number = 100 * run + at
            live[number] = arena.allocate((size // 4,), (1,), torch.float32).fill_(number)
            gone = [n for n in live if n != number and draw.random() < 0.3]
            for key in gone:
                assert bool((live.pop(key) == key).all())
