from __future__ import annotations

import gc
import weakref

import torch

from tessera.train.batches import Batch
from tessera.train.example_inputs import remember_inputs, remembered_inputs


def test_two_samples_are_kept_apart_from_the_batch():
    module, x = torch.nn.Linear(3, 1), torch.randn(8, 3)
    assert remembered_inputs(module) is None
    remember_inputs(module, Batch((x, torch.tensor(2.0)), torch.zeros(8)))
    first = x[:2].clone()
    x.zero_()
    kept, scale = remembered_inputs(module)
    assert torch.equal(kept, first)
    assert kept.untyped_storage().nbytes() == 2 * 3 * 4
    assert scale == 2.0


def test_keyword_inputs_keep_their_names():
    module = torch.nn.Linear(3, 1)
    remember_inputs(module, Batch((torch.ones(4, 3),), torch.zeros(4), ("input",)))
    assert remembered_inputs(module)["input"].shape == (2, 3)


def test_they_live_no_longer_than_the_model():
    module = torch.nn.Linear(3, 1)
    remember_inputs(module, Batch((torch.ones(4, 3),), torch.zeros(4)))
    kept = weakref.ref(remembered_inputs(module)[0])
    del module
    gc.collect()
    assert kept() is None
