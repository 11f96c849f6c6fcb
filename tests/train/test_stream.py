from __future__ import annotations

import pytest
import torch

from tessera.errors import BatchError, EmptyDatasetError
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
        "The training data yielded no batch. Training needs at least one batch in every epoch. "
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
        "Data is (inputs, labels) in memory, a Dataset, a DataLoader, or any iterable of batches. "
        "Write for example fit(model, (x, y)) or fit(model, loader)."
    )
