from __future__ import annotations

import numpy as np
import pytest

from tessera.data.windowed_order import WindowedOrder


@pytest.mark.parametrize("width", [1, 2, 3, 100])
@pytest.mark.parametrize("sizes", [[5], [4, 4, 4, 4], [1, 7, 2, 30, 11, 3]])
def test_every_epoch_has_all_samples(sizes, width):
    order = WindowedOrder(sizes, width, 9)
    size = sum(sizes)
    assert len(order) == size
    for epoch in range(3):
        found = order.indices(epoch, np.arange(size))
        assert sorted(found.tolist()) == list(range(size))
        for position in range(size):  # alone as in the whole
            assert order.indices(epoch, np.array([position]))[0] == found[position]


def test_a_window_has_a_few_groups_and_mixes_them():
    sizes, width = [50] * 12, 3
    order = WindowedOrder(sizes, width, 0)
    found = order.indices(0, np.arange(600)) // 50
    windows = [found[first : first + 150] for first in range(0, 600, 150)]
    assert all(len(set(window.tolist())) == 3 for window in windows)
    assert len({group for window in windows for group in set(window.tolist())}) == 12
    assert all((np.diff(window) != 0).mean() > 0.4 for window in windows)  # rows of other groups between
    first = {tuple(sorted(set(order.indices(epoch, np.arange(150)) // 50))) for epoch in range(5)}
    assert len(first) > 1  # other groups come together in other epochs
