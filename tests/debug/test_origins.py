from __future__ import annotations

import torch

from tessera.debug.origins import Origins


def test_views_and_writes_in_place():
    origins, x = Origins(), torch.zeros(4, 4)
    assert origins.number(x) == 0
    origins.made(x, 1)
    row = x[1]
    origins.made(row, 2)
    assert (origins.number(x), origins.number(row), origins.number(x[1])) == (1, 2, 2)
    assert origins.number(x[2]) == 1  # nobody saw that view being made
    origins.wrote(row, 3)
    assert (origins.number(x), origins.number(row)) == (3, 3)


def test_memory_that_is_used_again_is_another_tensor():
    origins = Origins()
    for number in range(1, 3000):
        origins.made(torch.zeros(3), number)
    assert origins.number(torch.zeros(3)) == 0
    assert len(origins._memories) < 2100


def test_declared_dims():
    origins, x = Origins(), torch.zeros(2, 3)
    origins.declare(x, ("B", 3))
    assert origins.dims(x) == ("B", 3)
    assert origins.dims(torch.zeros(2, 3)) == ()
