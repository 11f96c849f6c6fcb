from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tessera.data.shared_memory import Segment, one_copy_each, shared_copy

ARRAYS = [
    torch.arange(5),
    torch.tensor(2.5),
    torch.empty(0, 3),
    torch.ones(3, 4).bfloat16(),
    torch.tensor([True, False]),
    torch.arange(12).reshape(3, 4).t(),
    torch.tensor([1 + 2j]),
    np.arange(7.0)[::2],
    np.array(3, np.uint16),
    np.array(["2020-01-01"], "datetime64[D]"),
]


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    return np.array_equal(one, other) and one.dtype == other.dtype and one.shape == other.shape


def test_what_was_written_is_read():
    segment = Segment()
    found = segment.read(segment.write(ARRAYS))
    assert all(map(same, ARRAYS, found))
    assert all(type(one) is type(other) for one, other in zip(ARRAYS, found, strict=True))


def test_it_grows_and_what_was_lent_stays():
    segment = Segment()
    (first,) = segment.read(segment.write([torch.arange(3)]))
    larger = torch.arange(100_000)
    (second,) = segment.read(segment.write([larger]))
    assert torch.equal(second, larger)
    assert first.tolist() == [0, 1, 2]  # both are views of the same place
    segment.bytes(8)[:] = 0
    assert first[0] == second[0] == 0


def test_it_is_told_when_nobody_uses_it_any_more():
    segment, told = Segment(), []
    one, other = segment.read(segment.write([torch.arange(3), np.arange(4)]), lambda: told.append(1))
    part = one[1:]
    del one
    gc.collect()
    assert not told
    del other
    gc.collect()
    assert not told  # a view of a view holds on to it
    del part
    gc.collect()
    assert told == [1]


def test_nothing_to_lend_is_free_at_once():
    segment, told = Segment(), []
    assert segment.read(segment.write([]), lambda: told.append(1)) == []
    gc.collect()
    assert told == [1]


def test_what_was_made_in_its_place_is_not_copied():
    segment = Segment()
    segment.bytes(10_000)
    empty = segment.arena()
    one, other = empty((3, 4), np.float32), empty((5,), np.int64)
    one[:], other[:] = 1, 2
    too_large = empty((10**6,), np.int64)
    assert not np.may_share_memory(too_large, segment.bytes(1000))
    likes = segment.write([one, other])
    assert np.may_share_memory(one, segment.bytes(64))
    assert all(map(same, segment.read(likes), (one, other)))


def test_what_was_made_there_and_comes_in_another_order_is_not_written_over():
    segment = Segment()
    segment.bytes(10_000)
    empty = segment.arena()
    one, other, third = empty((40,), np.int64), empty((30,), np.int64), np.full(20, 3)
    one[:], other[:] = 1, 2
    for arrays in ([other, one], [third, one, other], [other[1:], third]):
        one[:], other[:] = 1, 2
        expected = [array.copy() for array in arrays]
        assert all(map(same, segment.read(segment.write(arrays)), expected))


def test_copies_for_workers_that_start_together_are_one():
    array, other = np.arange(3), np.arange(3)
    with one_copy_each():
        assert shared_copy(array)[0] is shared_copy(array)[0]
        assert shared_copy(array)[0] is not shared_copy(other)[0]
    first, like = shared_copy(array)
    assert first is not shared_copy(array)[0]  # later copies are new: the array may have changed
    assert same(first.read([like])[0], array)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted where Linux lists them")
def test_descriptors_are_closed():
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    segments = [Segment() for _ in range(5)]
    for segment in segments:
        segment.write([torch.arange(10)])
    assert count() > before
    del segments, segment
    gc.collect()
    assert count() == before


@pytest.mark.parametrize("seed", range(20))
def test_what_is_made_in_place_is_written_whatever_the_sizes(seed):
    """Arrays of an arena that is too small for some of them, in a segment that then grows."""
    draw = np.random.default_rng(seed)
    mine = Segment()
    theirs = Segment(os.dup(mine._descriptor))
    for _ in range(30):
        empty, made = mine.arena(), []
        for _ in range(draw.integers(1, 5)):
            shape = tuple(draw.integers(0, 40, draw.integers(1, 3)))
            array = empty(shape, draw.choice([np.uint8, np.int64, np.float32])) if draw.random() < 0.8 else None
            array = np.empty(shape, np.float64) if array is None else array
            array[...] = draw.integers(0, 200, shape)
            made.append(array)
        draw.shuffle(made)
        expected = [array.copy() for array in made]
        found = theirs.read(mine.write(made))
        assert all(map(same, expected, found))
