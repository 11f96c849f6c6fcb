from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tessera.data.randomness import generator, globals_kept, globals_state, moved, seed_globals

DRAWS = {
    "Python's": random.random,
    "NumPy's": lambda: float(np.random.rand()),  # noqa: NPY002 - as users do
    "torch's": lambda: torch.rand(()).item(),
}


def test_a_generator_follows_from_its_key_alone():
    assert generator(1, 2, 3).random() == generator(1, 2, 3).random()
    assert len({generator(*key).random() for key in [(1, 2, 3), (1, 2, 4), (1, 3, 3), (0, 2, 3), (1, 2)]}) == 5


@pytest.mark.parametrize("whose", DRAWS)
def test_seeded_globals_follow_from_the_key(whose):
    draw = DRAWS[whose]
    with globals_kept():
        values = []
        for key in [(0, 1), (0, 2), (0, 1)]:
            seed_globals(*key)
            values.append(draw())
    assert values[0] == values[2] != values[1]


def test_globals_are_put_back():
    before = globals_state()
    with globals_kept():
        seed_globals(3)
        for draw in DRAWS.values():
            draw()
    assert moved(before) is None
    with pytest.raises(ZeroDivisionError), globals_kept():
        seed_and_fail()
    assert moved(before) is None


def seed_and_fail():
    seed_globals(1)
    raise ZeroDivisionError


@pytest.mark.parametrize("whose", DRAWS)
def test_whose_numbers_were_drawn(whose):
    with globals_kept() as before:
        assert moved(before) is None
        DRAWS[whose]()
        assert moved(before) == whose
