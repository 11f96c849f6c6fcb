from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from tessera.data.permutation import Permutation, mix

KNOWN_10 = [7, 1, 6, 8, 2, 5, 4, 3, 9, 0]
KNOWN_LARGE = [416616557477, 115905181087, 608269482575]
KNOWN_WORD = 13394895377483706355
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 63, 64, 65, 99, 100, 101, 1000, 4096, 4097, 65_537]


@pytest.mark.parametrize("size", SIZES)
def test_it_is_a_permutation(size):
    for key in range(3):
        found = Permutation(size, key)(np.arange(size))
        assert found.dtype == np.int64
        assert np.array_equal(np.sort(found), np.arange(size))


def test_random_sizes_and_keys_are_permutations():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = int(rng.integers(1, 3000))
        found = Permutation(size, *rng.integers(0, 2**62, size=rng.integers(1, 4)).tolist())(np.arange(size))
        assert np.array_equal(np.sort(found), np.arange(size)), size


def test_any_position_is_computed_without_the_others():
    size = 12_345
    whole = Permutation(size, 5)(np.arange(size))
    chosen = np.random.default_rng(1).permutation(size)[:100]
    assert np.array_equal(Permutation(size, 5)(chosen), whole[chosen])


def test_large_sizes():
    for size in (2**31 - 1, 2**40 + 7, 2**62):
        positions = np.array([0, 1, size // 2, size - 2, size - 1])
        found = Permutation(size, 1)(positions)
        assert len(set(found.tolist())) == 5
        assert ((found >= 0) & (found < size)).all()


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_are_equally_likely(size):
    orders = list(itertools.permutations(range(size)))
    draws = 60 * len(orders)
    counted = Counter(tuple(Permutation(size, 0, epoch)(np.arange(size)).tolist()) for epoch in range(draws))
    assert set(counted) == set(orders)
    statistic = sum((counted[order] - 60) ** 2 / 60 for order in orders)
    freedom = len(orders) - 1
    assert statistic < freedom + 5 * np.sqrt(2 * freedom)  # five standard deviations of chi-square


def test_neighbours_are_torn_apart():
    size, epochs = 1000, 20
    steps = np.concatenate([np.diff(Permutation(size, 3, epoch)(np.arange(size))) for epoch in range(epochs)])
    # Two independent places differ by d with probability (size - |d|) / (size * (size - 1)): by 1 in 1 of 1000.
    assert abs((steps == 1).mean() - 0.001) < 0.0015
    assert abs(np.abs(steps).mean() - size / 3) < 10


def test_places_and_epochs_do_not_go_together():
    size = 2000
    found = np.stack([Permutation(size, 0, epoch)(np.arange(size)) for epoch in range(8)] + [np.arange(size)])
    others = np.corrcoef(found)[~np.eye(9, dtype=bool)]
    assert np.abs(others).max() < 5 / np.sqrt(size)


def test_the_order_is_the_same_for_ever():
    """A run that is resumed years later goes on in its order: these numbers never change."""
    assert Permutation(10, 0, 0)(np.arange(10)).tolist() == KNOWN_10
    assert Permutation(10**12, 7, 3)(np.arange(3)).tolist() == KNOWN_LARGE
    assert mix(1, 2**70, 0) == KNOWN_WORD


def test_words_of_any_size_count():
    words = [mix(*key) for key in [(0,), (0, 0), (1,), (2**64,), (2**64 + 1,), (0, 1), (1, 0), (2**128,)]]
    assert len(set(words)) == len(words)
    assert all(0 <= word < 2**64 for word in words)
