from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import tessera
from tessera.errors import SettingError


def draws():
    return random.gauss(0, 1), np.random.standard_normal(), torch.randn(3).tolist(), tessera.random.rand(2).tolist()  # noqa: NPY002


def test_what_is_drawn_inside_leaves_no_trace():
    tessera.seed(1)
    expected = [draws(), draws()]
    tessera.seed(1)
    found = [draws()]
    with tessera.random_state(9):
        inside = draws()
        with tessera.random_state(9):
            assert draws() == inside
        with tessera.random_state():
            further = draws()
        assert draws() == further
    assert [*found, draws()] == expected
    tessera.seed(9)
    assert draws() == inside


def test_a_state_can_be_gone_back_to():
    draws()
    state = tessera.random.get_state()
    expected = [draws(), draws()]
    with tessera.random_state(state):
        assert [draws(), draws()] == expected
    tessera.random.set_state(state)
    assert [draws(), draws()] == expected


def test_an_exception_and_a_decorator():
    @tessera.random_state(4)
    def drawn():
        return draws()

    before = tessera.random.get_state()
    assert drawn() == drawn()
    with pytest.raises(KeyError), tessera.random_state(4):
        {}[draws()[0]]
    with pytest.raises(SettingError):
        tessera.random_state(0.5).__enter__()
    expected = draws()
    tessera.random.set_state(before)
    assert draws() == expected


def test_in_a_compiled_function():
    def noisy(x):
        with tessera.random_state(4):
            x = x + torch.randn(3)
        return x + torch.randn(3)

    seen = []
    for function in (noisy, tessera.compile(noisy)):
        tessera.seed(0)
        seen.append([function(torch.zeros(3)).tolist() for _ in range(3)] + [draws()])
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[0][1]
