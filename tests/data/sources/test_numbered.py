from __future__ import annotations

import pytest
import torch
from torch.utils.data import Subset

from tessera.data import Loader, dataset
from tessera.errors import DataError
from tests.data.functions import Squares


class Many(Squares):
    def __init__(self):
        super().__init__(10)
        self.asked = []

    def __getitems__(self, indices):
        self.asked.append(indices)
        return [self[index]["x"] for index in indices]


class Broken(Squares):
    def __getitem__(self, index):
        if index == 3:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def test_torchs_datasets():
    batches = list(Loader(Subset(Squares(), [4, 5, 6]), 2, shuffle=False))
    assert [batch["x"].tolist() for batch in batches] == [[[4, 16], [5, 25]], [[6, 36]]]


def test_the_users_class_is_named():
    (stage,) = dataset(Broken()).every_stage()
    assert stage.name == "read Broken.__getitem__"
    assert stage.line.line == Broken.__getitem__.__code__.co_firstlineno
    for data in ([1, 2], range(1, 3)):
        assert dataset(data).every_stage()[0].line is None
        with Loader(data, 2, shuffle=False, workers=1) as loader:
            assert [batch.tolist() for batch in loader] == [[1, 2]]


def test_many_are_read_at_once_where_no_number_is_drawn():
    data = Many()
    assert len(list(Loader(dataset(data, random=False), 5, shuffle=False))) == 2
    assert data.asked == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    data.asked.clear()
    list(Loader(data, 5))
    assert data.asked == []


def test_a_sample_that_cannot_be_read_is_named():
    with pytest.raises(DataError) as caught:
        list(Loader(Broken(), 5, shuffle=False))
    assert str(caught.value).startswith("Reading sample 3 (position 3 of epoch 0) failed: OSError: the disk is gone. ")
    assert caught.value.where.code == 'raise OSError("the disk is gone")'
    loader = Loader(Broken(), 5, shuffle=False, on_error="skip")
    assert torch.cat([batch["x"][:, 0] for batch in loader]).tolist() == [n for n in range(20) if n != 3]
