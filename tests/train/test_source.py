from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from tessera.errors import BatchError, EmptyDatasetError
from tessera.train.batches import BatchReader
from tessera.train.in_memory import InMemory
from tessera.train.pace import Pace
from tessera.train.source import check_passes, source
from tessera.train.stream import Stream

READER = BatchReader(torch.float32, torch.device("cpu"))
X, Y = torch.randn(10, 2), torch.arange(10)


class Squares(Dataset):
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return torch.tensor([float(index)]), index


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(1), 0


def read(found, *, shuffle=False, seed=0):
    return source(found, READER, "training data", 4, shuffle=shuffle, seed=seed)


def labels(data) -> list[int]:
    return [label for batch in data.take(1, 100, Pace(1)) for label in batch.target.tolist()]


@pytest.mark.parametrize("found", [(X, Y), {"x": X, "labels": Y}, TensorDataset(X, Y)])
def test_arrays_are_in_memory(found):
    assert isinstance(read(found), InMemory)
    assert labels(read(found)) == list(range(10))


@pytest.mark.parametrize("found", [X, X.numpy(), (X,), {"x": X}, TensorDataset(X)])
def test_arrays_for_a_module_with_its_own_loss_are_in_memory(found):
    whole = BatchReader(torch.float32, torch.device("cpu"), whole=True)
    data = source(found, whole, "training data", 4, shuffle=True, seed=0)
    batches = list(data.take(1, 100, Pace(2)))
    assert [getattr(batch, "steps", 1) for batch in batches] == [2, 1]
    seen = torch.cat([batch.inputs[0].reshape(-1, 2) for batch in batches])
    assert sorted(seen.tolist()) == sorted(X.tolist())
    assert all(batch.labels == () for batch in batches)


@pytest.mark.parametrize("found", [[(X, Y)], DataLoader(TensorDataset(X, Y), 4), Squares(10), iter([(X, Y)])])
def test_the_rest_is_a_stream(found):
    data = read(found)
    assert isinstance(data, Stream)
    assert labels(data) == list(range(10))


@pytest.mark.parametrize("found", [(X, Y), Squares(10)])
def test_a_seed_fixes_the_order(found):
    first = labels(read(found, shuffle=True, seed=3))
    assert sorted(first) == list(range(10)) != first
    assert labels(read(found, shuffle=True, seed=3)) == first
    assert labels(read(found, shuffle=True, seed=4)) != first


def test_without_a_seed_torch_decides():
    def order():
        return labels(read((X, Y), shuffle=True, seed=None))

    torch.manual_seed(1)
    first, second = order(), order()
    torch.manual_seed(1)
    assert first == order() != second


def test_a_dataset_without_samples():
    with pytest.raises(EmptyDatasetError, match="^The training data has no samples"):
        labels(read(Squares(0), shuffle=True))


def test_a_dataset_without_end():
    assert len(list(read(Endless(), shuffle=True).take(1, 7, Pace()))) == 7


def test_weights_of_samples_belong_to_data_in_memory():
    with pytest.raises(BatchError, match="^sample_weight was passed, and the training data is a list"):
        source([(X, Y)], READER, "training data", 4, shuffle=False, sample_weight=torch.ones(10))


def test_several_passes_over_an_iterator():
    data = read(iter([(X, Y)]))
    check_passes(data, "training data", 1)
    check_passes(read([(X, Y)]), "training data", 5)
    with pytest.raises(BatchError) as error:
        check_passes(data, "training data", 5)
    assert str(error.value) == (
        "The training data is an iterator, and 5 epochs were asked for. "
        "An iterator yields its batches once, and every epoch goes over the data anew. "
        "Pass a list, a DataLoader or a class with __iter__ that starts anew; or train one epoch, or with steps=."
    )
    with pytest.raises(BatchError, match="and several epochs were asked for"):
        check_passes(data, "training data", None)
