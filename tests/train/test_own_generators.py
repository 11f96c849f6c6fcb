from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Subset, TensorDataset

from tessera.train import own_generators as file
from tessera.train.own_generators import own_generators

DATASET = TensorDataset(torch.zeros(4))


def test_wherever_in_a_loader_a_generator_is():
    generator = torch.Generator()
    shuffled = RandomSampler(DATASET, generator=generator)
    assert own_generators(DataLoader(DATASET, generator=generator)) == {"generator": generator}
    assert own_generators(DataLoader(DATASET, sampler=shuffled)) == {"sampler.generator": generator}
    loader = DataLoader(DATASET, batch_sampler=BatchSampler(shuffled, 2, drop_last=False))
    assert own_generators(loader) == {"batch_sampler.sampler.generator": generator}


def test_every_kind_of_generator_and_place():
    numbers = [np.random.default_rng(0), np.random.RandomState(0), random.Random(0), torch.Generator()]
    transforms = {"first": SimpleNamespace(rng=numbers[0]), "then": [numbers[1], (numbers[2],)]}
    data = SimpleNamespace(inner=Subset(SimpleNamespace(transforms=transforms, again=numbers[0]), [0]), own=numbers[3])
    assert own_generators(data) == {
        "own": numbers[3],
        "inner.dataset.again": numbers[0],
        "inner.dataset.transforms.then.0": numbers[1],
        "inner.dataset.transforms.then.1.0": numbers[2],
    }


@pytest.mark.parametrize(
    "held",
    [random.SystemRandom(), random, type("Kept", (), {"rng": random.Random(0)})],
    ids=["system", "module", "class"],
)
def test_what_is_none_or_nobodys(held):
    assert own_generators(SimpleNamespace(held=held)) == {}


def test_a_large_or_endless_structure_is_not_gone_through(monkeypatch):
    endless = SimpleNamespace()
    endless.itself, endless.rng = endless, random.Random(0)
    assert own_generators(endless) == {"rng": endless.rng}
    monkeypatch.setattr(file, "_MOST", 5)
    assert own_generators([[*range(1000)] * 3, 1, 2, 3, 4, random.Random(0)]) == {}
