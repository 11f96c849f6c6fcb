from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from tessera.checkpoint.random_state import RandomState
from tessera.data import Loader, dataset
from tessera.errors import BatchError, DataStateError, EmptyDatasetError
from tessera.train.batches import BatchReader
from tessera.train.pace import Pace
from tessera.train.stream import stream

READER = BatchReader(torch.float32, torch.device("cpu"))
BATCHES = [(torch.full((2, 1), float(i)), torch.tensor([i, i])) for i in range(4)]


def test_a_list_of_batches():
    data = stream(BATCHES, READER, "training data")
    assert data.steps == 4
    assert data.span == 1
    assert not data.once
    assert [batch.target[0].item() for batch in data.take(2, 100, Pace())] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [batch.target[0].item() for batch in data.take(2, 6, Pace())] == [0, 1, 2, 3, 0, 1]
    assert [batch.target[0].item() for batch in data.batches()] == [0, 1, 2, 3]


def test_a_generator_is_gone_through_once():
    data = stream((batch for batch in BATCHES), READER, "training data")
    assert data.once
    assert data.steps is None
    assert len(list(data.take(1, 100, Pace()))) == 4


def test_a_limit_takes_no_batch_too_many():
    taken = iter(BATCHES)
    list(stream(taken, READER, "training data").take(1, 2, Pace()))
    assert next(taken) is BATCHES[2]


def test_nothing_yielded():
    with pytest.raises(EmptyDatasetError) as error:
        list(stream([], READER, "training data").batches())
    assert str(error.value) == (
        "The training data yielded no batch. There is at least one batch in every epoch. "
        "Check that the dataset is not empty, that `drop_last` does not drop its only batch, and that the iterable "
        "gives a new iterator each time it is asked."
    )


def test_the_number_of_a_bad_batch_is_said():
    with pytest.raises(BatchError, match="^Batch 2 of the validation data is a torch.float32 tensor"):
        list(stream([BATCHES[0], torch.zeros(3)], READER, "validation data").batches())


@pytest.mark.parametrize(("found", "words"), [(3, "an object of type int"), ("digits.csv", "an object of type str")])
def test_what_holds_no_batches(found, words):
    with pytest.raises(BatchError) as error:
        stream(found, READER, "training data")
    assert str(error.value) == (
        f"The training data is {words}, which holds no batches. "
        "Data is (inputs, labels) in memory, a Dataset, a Loader, or any iterable of batches. "
        "Write for example fit(model, (x, y)) or fit(model, loader)."
    )


class Noisy(Dataset):
    """Samples that draw random numbers when they are read."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.randn(1) + random.random() + np.random.rand(), index  # noqa: NPY002 - what users' datasets draw from


class Shuffled:
    """Batches in an order that it draws itself."""

    def __init__(self):
        self.rng = np.random.default_rng(3)

    def __iter__(self):
        return (BATCHES[place] for place in self.rng.permutation(len(BATCHES)))


def datas():
    return {
        "a DataLoader": DataLoader(Noisy(), 2, shuffle=True),
        "a DataLoader with a generator": DataLoader(
            Noisy(), 2, shuffle=True, generator=torch.Generator().manual_seed(5)
        ),
        "a Loader": Loader(Noisy(), 2, seed=4),
        "a Loader that filters": Loader(dataset(Noisy()).filter(lambda sample: sample[1] % 3, random=False), 2),
        "a list": BATCHES,
        "a batch sampler with a generator": DataLoader(
            Noisy(),
            batch_sampler=BatchSampler(
                RandomSampler(Noisy(), generator=torch.Generator().manual_seed(5)), 2, drop_last=False
            ),
        ),
        "an iterable with a generator": Shuffled(),
    }


@pytest.mark.parametrize("kind", datas())
@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4, 5, 6, 9])
def test_the_rest_follows_from_the_position_alone(kind, cut):
    def seeded():
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - as above

    def taken(data, epochs, limit, seen):
        for batch in data.take(epochs, limit, Pace()):
            seen.append((batch.inputs[0].tolist(), batch.target.tolist(), torch.rand(1).item()))

    seeded()
    whole, begun = [], []
    taken(stream(datas()[kind], READER, "training data"), 3, 100, whole)
    seeded()
    first = stream(datas()[kind], READER, "training data")
    taken(first, 3, cut, begun)
    state, randomness = first.state_dict(), RandomState().state_dict()
    torch.manual_seed(99)
    second = stream(datas()[kind], READER, "training data")
    second.load_state_dict(state)
    RandomState().load_state_dict(randomness)
    taken(second, 3 - second.epoch, 100, begun)
    assert begun == whole
    assert second.epoch == 3


@pytest.mark.parametrize(("persistent", "epoch", "said"), [(True, 1, 1), (True, 0, 0), (False, 1, 0)])
def test_random_numbers_of_workers_that_nobody_can_save_are_said(caplog, persistent, epoch, said):
    loader = DataLoader(Noisy(), 2, num_workers=1, persistent_workers=persistent)
    data = stream(loader, READER, "training data")
    data.load_state_dict({**data.state_dict(), "epoch": epoch})
    assert len(caplog.records) == said
    assert all("Write persistent_workers=False" in record.getMessage() for record in caplog.records)


def test_data_that_has_become_shorter():
    first, second = stream(BATCHES, READER, "training data"), stream(BATCHES[:2], READER, "training data")
    list(first.take(1, 3, Pace()))
    second.load_state_dict(first.state_dict())
    with pytest.raises(DataStateError) as error:
        list(second.take(1, 3, Pace()))
    assert str(error.value) == (
        "The training data ended after 2 of the 3 batches that were trained on before. "
        "A run goes on with the data that it was begun with. "
        "Pass the same data, or another folder as `checkpoint` to begin anew."
    )
