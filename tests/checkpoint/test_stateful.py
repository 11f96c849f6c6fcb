from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tessera.checkpoint import load, save
from tessera.checkpoint.stateful import can_load, load_state, state_of

GENERATORS = {
    "python": (lambda: random.Random(3), lambda g: g.random()),
    "numpy": (lambda: np.random.default_rng(3), lambda g: g.random()),
    "philox": (lambda: np.random.Generator(np.random.Philox(3)), lambda g: g.random()),
    "mt": (lambda: np.random.Generator(np.random.MT19937(3)), lambda g: g.random()),
    "sfc": (lambda: np.random.Generator(np.random.SFC64(3)), lambda g: g.random()),
    "legacy": (lambda: np.random.RandomState(3), lambda g: g.normal()),
    "torch": (lambda: torch.Generator().manual_seed(3), lambda g: torch.randn(1, generator=g).item()),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_goes_on_where_it_was(tmp_path, name):
    make, draw = GENERATORS[name]
    generator = make()
    draw(generator)
    save(tmp_path, generator=generator)
    expected = [draw(generator) for _ in range(5)]
    again = make()
    assert can_load(again)
    load_state(again, load(tmp_path)["generator"])
    assert [draw(again) for _ in range(5)] == expected


def test_the_state_of_another_kind_of_generator_is_refused():
    with pytest.raises(KeyError):
        load_state(torch.Generator(), state_of(random.Random()))


def test_a_class_has_no_state():
    assert state_of(torch.nn.Linear) is None
    assert not can_load(torch.nn.Linear)
    assert not can_load(random.Random)


def test_what_can_only_be_read_cannot_be_loaded():
    class Reader:
        def state_dict(self):
            return {"a": 1}

    assert state_of(Reader()) == {"a": 1}
    assert not can_load(Reader())
    assert state_of(3) is None
