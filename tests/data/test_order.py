from __future__ import annotations

import numpy as np

from tessera.data.order import InOrder, Lookup, Shuffled


def test_in_order():
    order = InOrder(5)
    assert len(order) == 5
    assert order.indices(3, np.array([4, 0])).tolist() == [4, 0]


def test_every_epoch_has_another_order_of_all():
    order = Shuffled(100, 7)
    epochs = [order.indices(epoch, np.arange(100)).tolist() for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(100))


def test_seeds_and_epochs_are_not_one_number():
    """Epoch 1 of seed 0 is not epoch 0 of seed 1, as it is where the two are added."""
    positions = np.arange(100)
    assert Shuffled(100, 0).indices(1, positions).tolist() != Shuffled(100, 1).indices(0, positions).tolist()


def test_a_lookup_is_the_order_wherever_one_begins():
    order = Shuffled(30_000, 1)
    lookup, whole = Lookup(order), [order.indices(epoch, np.arange(30_000)) for epoch in range(2)]
    draw = np.random.default_rng(0)
    for _ in range(100):
        epoch, (start, stop) = int(draw.integers(2)), sorted(draw.integers(0, 30_001, 2).tolist())
        assert np.array_equal(lookup.indices(epoch, start, stop), whole[epoch][start:stop])
