from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import tessera
from tessera.errors import SettingError
from tessera.random.seeding import of_this_process


def draws():
    return random.random(), np.random.standard_normal(), torch.randn(2).tolist(), tessera.random.rand(2).tolist()  # noqa: NPY002


@pytest.mark.parametrize("number", [0, 1, 2**31, 2**64 - 1, -1, -(2**63)])
def test_alone_it_is_what_the_generators_own_seeds_make(number):
    assert tessera.seed(number) == number
    found = draws()
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002
    torch.manual_seed(number)
    assert found == draws()
    assert draws() != found


def test_ranks_differ(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    seeds = {tessera.seed(7)}
    assert seeds == {7}
    for rank in range(1, 50):
        monkeypatch.setenv("RANK", str(rank))
        seeds.add(own := tessera.seed(7))
        assert torch.initial_seed() == own == of_this_process(7)
        assert tessera.seed(7, everywhere_the_same=True) == 7
        assert tessera.seed(8) != own
    assert len(seeds) == 50
    monkeypatch.setenv("RANK", "")
    assert tessera.seed(7) == 7


class Seeded(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return tessera.seed(3)


def test_data_workers_differ():
    workers = list(torch.utils.data.DataLoader(Seeded(), batch_size=1, num_workers=2))
    (a, b, c, d) = (int(batch) for batch in workers)
    assert a == c
    assert b == d
    assert len({a, b, 3}) == 3


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 1.0, "0", None, True], ids=repr)
def test_what_is_no_seed_is_refused(number):
    state = torch.get_rng_state()
    with pytest.raises(SettingError, match=r"whole number from -2\*\*63"):
        tessera.seed(number)
    assert torch.equal(state, torch.get_rng_state())
