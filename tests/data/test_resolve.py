from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from tessera.data import Loader, arrays, dataset
from tessera.data.sources.arrays import Arrays
from tessera.data.sources.iterables import Iterated
from tessera.data.sources.numbered import Numbered
from tessera.errors import BatchError
from tests.data.functions import Counting, Squares


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (torch.arange(3), Arrays),
        (np.arange(3), Arrays),
        ((torch.arange(3), np.arange(3)), Arrays),
        ({"x": torch.arange(3)}, Arrays),
        (TensorDataset(torch.arange(3)), Arrays),
        (Arrays(torch.arange(3)), Arrays),
        ([1, 2, 3], Numbered),
        (range(3), Numbered),
        (Squares(3), Numbered),
        (Counting(3), Iterated),
        ({1, 2, 3}, Iterated),
    ],
)
def test_what_is_data(found, kind):
    assert type(dataset(found).source) is kind


def test_a_dataset_is_itself():
    found = arrays(torch.arange(3))
    assert dataset(found) is found


def test_a_list_draws_no_random_numbers_and_a_dataset_of_yours_may():
    assert not dataset([1]).every_stage()[0].seeded
    assert dataset(Squares()).every_stage()[0].seeded
    assert not dataset(Squares(), random=False).every_stage()[0].seeded


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("train.parquet", "^The path 'train.parquet' was passed as data"),
        (iter([1]), "^An iterator of type list_iterator, which yields its samples a single time, was passed"),
        ((number for number in range(3)), "^An iterator of type generator"),
        (5, "^An object of type int was passed as data"),
        (None, "^An object of type NoneType"),
        ((1, 2), "^Data with parts of shape none was passed"),
        ((torch.arange(3), torch.arange(4)), r"^Data with parts of shape \[3\], \[4\] was passed"),
        (torch.tensor(1), r"^Data with parts of shape \[\] was passed"),
    ],
)
def test_what_is_no_data(found, words):
    with pytest.raises(BatchError, match=words):
        Loader(found, 2)
