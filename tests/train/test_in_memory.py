from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch

from tessera.errors import BatchError, EmptyDatasetError
from tessera.train.batches import BatchReader, Stack
from tessera.train.in_memory import InMemory, in_memory
from tessera.train.pace import Pace

READER = BatchReader(torch.float32, torch.device("cpu"))
EVERYTHING = 10**9


def numbered(samples: int, batch_size: int, seed: int | None = 0) -> InMemory:
    """A dataset whose inputs and labels are the sample numbers."""
    numbers = np.arange(samples)
    return in_memory((numbers[:, None], numbers), READER, "training data", batch_size, seed)


def labels(pieces) -> list[list[int]]:
    """The labels of every batch, stacks taken apart; inputs must belong to them."""
    found = []
    for piece in pieces:
        for batch in piece if isinstance(piece, Stack) else [piece]:
            assert batch.inputs[0][:, 0].tolist() == batch.target.tolist()
            found.append(batch.target.tolist())
    return found


def test_every_epoch_has_every_sample_once_in_a_new_order():
    data = numbered(10, 2)
    first, second = labels(data.take(1, EVERYTHING, Pace(2))), labels(data.take(1, EVERYTHING, Pace(2)))
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second
    assert [len(batch) for batch in first] == [2] * 5


def test_the_last_batch_may_be_smaller():
    data = numbered(10, 4)
    assert data.steps == 3
    assert [len(batch) for batch in labels(data.take(2, EVERYTHING, Pace(8)))] == [4, 4, 2, 4, 4, 2]
    assert [len(batch) for batch in labels(numbered(3, 8).take(1, EVERYTHING, Pace(8)))] == [3]


def test_the_order_depends_on_the_seed_alone():
    def orders(seed, spans, pace):
        data = numbered(6, 2, seed)
        return [batch for span in spans for batch in labels(data.take(span, EVERYTHING, Pace(pace)))]

    one_by_one = orders(5, [1] * 40, 1)
    assert orders(5, [40], 64) == orders(5, [3, 37], 7) == one_by_one
    assert orders(6, [40], 64) != one_by_one


def test_large_datasets_are_shuffled_too():
    (drawn,) = labels(numbered(5000, 5000).take(1, EVERYTHING, Pace(1)))
    assert sorted(drawn) == list(range(5000))
    assert drawn != sorted(drawn)


def test_without_a_seed_the_order_is_that_of_the_data():
    assert labels(numbered(5, 2, None).take(2, EVERYTHING, Pace(9))) == [[0, 1], [2, 3], [4]] * 2
    assert labels(numbered(5, 2).batches()) == [[0, 1], [2, 3], [4]]


def test_steps_come_in_stacks():
    pieces = list(numbered(20, 2).take(1, EVERYTHING, Pace(4)))
    assert [piece.steps if isinstance(piece, Stack) else 1 for piece in pieces] == [4, 4, 2]
    assert pieces[0].inputs[0].shape == (4, 2, 1)
    assert pieces[0].target.shape == (4, 2)
    assert pieces[0].size == 2


def test_short_epochs_share_a_stack():
    data = numbered(4, 1)
    assert data.span == 1024
    pieces = list(data.take(3, EVERYTHING, Pace(100)))
    assert [piece.steps for piece in pieces] == [12]
    assert sorted(labels(pieces)[:4]) == [[0], [1], [2], [3]]
    assert numbered(5, 2).span == 1


def test_a_limit_stops_in_the_middle():
    assert len(labels(numbered(10, 2).take(3, 7, Pace(4)))) == 7
    assert len(labels(numbered(9, 2).take(3, 7, Pace(4)))) == 7
    assert len(labels(numbered(9, 2).take(3, 5, Pace(4)))) == 5


@pytest.mark.parametrize(("samples", "batch_size"), [(6, 2), (7, 2), (5000, 1000), (3, 8)])
def test_the_rest_follows_from_the_position_alone(samples, batch_size):
    whole = labels(numbered(samples, batch_size, 5).take(6, EVERYTHING, Pace(4)))
    for cut in (1, 2, 3, 4, 5, 6):
        first = numbered(samples, batch_size, 5)
        begun = labels(first.take(6, cut, Pace(3)))
        second = numbered(samples, batch_size, 99)
        second.load_state_dict(first.state_dict())
        left = 6 - second.epoch
        assert begun + labels(second.take(left, EVERYTHING, Pace(5))) == whole
        assert (second.epoch, second.offset) == (6, 0)


def test_a_limited_walk_goes_on_where_it_stopped():
    data, whole = numbered(6, 2, 1), labels(numbered(6, 2, 1).take(3, EVERYTHING, Pace(1)))
    pieces = []
    while data.epoch < 3:
        pieces += labels(data.take(1, 2, Pace(2)))
    assert pieces == whole


def test_other_data_has_another_fingerprint():
    first, again, other = numbered(6, 2).fingerprint(), numbered(6, 2).fingerprint(), numbered(8, 2).fingerprint()
    assert first == again != other
    assert numbered(6, 3).fingerprint() != first != numbered(6, 2, None).fingerprint()


def test_weights_of_samples_go_with_them():
    numbers = np.arange(10)
    data = in_memory((numbers[:, None], numbers), READER, "training data", 2, 3, numbers / 10)
    for piece in data.take(2, EVERYTHING, Pace(3)):
        assert len(piece.labels) == 2
        for batch in piece if isinstance(piece, Stack) else [piece]:
            torch.testing.assert_close(batch.weight, batch.target / 10)
    with pytest.raises(BatchError, match="There is one weight for each of the 10 samples"):
        in_memory((numbers[:, None], numbers), READER, "training data", 2, 3, numbers[:9])


def test_the_pace_may_change_between_stacks():
    pace, sizes = Pace(1), []
    for piece in numbered(64, 1).take(1, EVERYTHING, pace):
        sizes.append(piece.steps if isinstance(piece, Stack) else 1)
        pace.steps *= 2
    assert sizes == [1, 2, 4, 8, 16, 32, 1]


def test_stacks_are_bounded_in_memory():
    data = in_memory((torch.zeros(16, 2**20), torch.zeros(16)), READER, "training data", 2, None)  # over 8 MB a batch
    assert [piece.size if isinstance(piece, Stack) else 1 for piece in data.take(1, EVERYTHING, Pace(99))] == [2, 1]
    assert next(data.take(1, EVERYTHING, Pace(99))).steps == 7


def test_several_inputs_and_dicts():
    x, y = torch.arange(6.0).view(6, 1), torch.arange(6)
    data = in_memory((x, x * 2, y), READER, "training data", 2, None)
    batch = next(iter(data.batches()))
    torch.testing.assert_close(batch.inputs[1], torch.tensor([[0.0], [2.0]]))
    data = in_memory({"a": x, "labels": y}, READER, "training data", 2, None)
    assert next(data.take(1, EVERYTHING, Pace(3))).names == ("a",)


def test_no_samples():
    with pytest.raises(EmptyDatasetError) as error:
        in_memory((np.zeros((0, 3)), np.zeros(0)), READER, "training data", 2, None)
    assert str(error.value) == (
        "The training data has no samples: inputs of shape [0, 3]. There is at least one sample. "
        "Check what was read before it is passed on."
    )


def test_lengths_differ():
    with pytest.raises(BatchError) as error:
        in_memory((np.zeros((4, 3)), np.zeros(5)), READER, "validation data", 2, None)
    assert str(error.value) == (
        "The validation data has inputs of shape [4, 3] and labels of shape [5]. "
        "Inputs and labels have the same number of samples in their first dimension. "
        "Pass (inputs, labels) with one label for each input, and several batches as a list instead of a tuple."
    )


def test_batches_in_a_tuple():
    batch = (torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(BatchError) as error:
        in_memory((batch, batch), READER, "training data", 2, None)
    assert str(error.value) == (
        "The labels of the training data are a tuple of 2. "
        "Data in memory has one tensor or array of labels, [samples, ...]. "
        "Pass several batches as a list instead of a tuple, several labels for each sample as a DataLoader."
    )
