from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tessera.errors import BatchError
from tessera.train.batches import Batch, BatchReader, Stack, describe

READER = BatchReader(torch.float32, torch.device("cpu"))
X, Y = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    "found",
    [
        (X, Y),
        [X, Y],
        ((X,), Y),
        namedtuple("Sample", "x y")(X, Y),  # noqa: PYI024 - what a data loader's collate function makes
        SimpleNamespace(images=X, labels=Y),
        SimpleNamespace(inputs=X, targets=Y),
    ],
)
def test_inputs_and_labels_are_found(found):
    batch = READER.read(found, "Batch 1")
    assert batch.positional == (X,)
    assert batch.target is Y
    assert batch.named == {}
    assert batch.size == 4


@pytest.mark.parametrize("found", [(X, X, Y), ((X, X), Y), ([X, X], Y)])
def test_several_inputs(found):
    batch = READER.read(found, "Batch 1")
    assert batch.inputs == (X, X)
    assert batch.target is Y


@pytest.mark.parametrize(
    "found",
    [{"a": X, "b": Y, "y": Y}, {"a": X, "b": Y, "labels": Y}, {"target": Y, "a": X, "b": Y}, ({"a": X, "b": Y}, Y)],
)
def test_a_dict_becomes_keyword_arguments(found):
    batch = READER.read(found, "Batch 1")
    assert batch.positional == ()
    assert list(batch.named) == ["a", "b"]
    assert batch.named["a"] is X
    assert batch.target is Y


def test_arrays_take_the_dtype_of_the_model_and_tensors_keep_theirs():
    batch = READER.read((np.zeros((3, 2)), np.zeros(3, dtype=np.uint8)), "Batch 1")
    assert batch.inputs[0].dtype is torch.float32
    assert batch.target.dtype is torch.int64
    batch = READER.read((torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.uint8)), "Batch 1")
    assert batch.inputs[0].dtype is torch.float64
    assert batch.target.dtype is torch.uint8


def test_lists_of_numbers_are_arrays():
    batch = READER.read(([[0.0, 1.0], [1.0, 0.0]], [1, 0]), "Batch 1")
    torch.testing.assert_close(batch.inputs[0], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    torch.testing.assert_close(batch.target, torch.tensor([1, 0]))


def test_images_stay_bytes():
    assert READER.read((np.zeros((3, 2), dtype=np.uint8), Y), "Batch 1").inputs[0].dtype is torch.uint8


def test_read_only_and_reversed_arrays_are_copied():
    array = np.arange(6.0).reshape(3, 2)[::-1]
    array.flags.writeable = False
    torch.testing.assert_close(READER.read((array, Y), "B").inputs[0], torch.tensor([[4.0, 5], [2, 3], [0, 1]]))


def test_labels_may_be_several():
    batch = READER.read((X, {"digit": Y, "colour": X}), "Batch 1")
    assert batch.target["digit"] is Y
    assert READER.read((X, (Y, X)), "Batch 1").target[1] is X
    assert batch.size == 4


def test_the_reader_follows_the_model():
    module = torch.nn.Linear(2, 1, dtype=torch.bfloat16)
    assert BatchReader.of(module) == BatchReader(torch.bfloat16, torch.device("cpu"))
    assert BatchReader.of(torch.nn.ReLU()).dtype is torch.float32


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (X, "a torch.float32 tensor of shape [4, 2]"),
        ((X,), "a tuple of 1"),
        (np.zeros((2, 3)), "an array of shape [2, 3] and dtype float64"),
        ({"x": X, "z": Y}, "a dict with the keys ['x', 'z']"),
        ({"labels": Y}, "a dict with the keys ['labels']"),
        (SimpleNamespace(images=X), "an object of type SimpleNamespace"),
    ],
)
def test_a_batch_without_labels(found, words):
    with pytest.raises(BatchError) as error:
        READER.read(found, "Batch 3 of the training data")
    assert str(error.value) == (
        f"Batch 3 of the training data is {words}: it has no labels. "
        "A batch is (inputs, labels), (input_1, input_2, ..., labels), a dict with a key 'labels' or 'target', "
        "or an object with .images or .inputs and .labels or .targets. "
        "Yield the labels beside the inputs, as in `yield inputs, labels`."
    )


def test_a_batch_of_no_samples():
    with pytest.raises(BatchError) as error:
        READER.read((X[:0], Y[:0]), "Batch 2")
    assert str(error.value) == (
        "Batch 2 has no samples: its labels are of shape [0]. Every batch has at least one sample. "
        "Leave empty batches out of the data, for example with `if len(labels):` before they are yielded."
    )


def test_what_cannot_be_a_tensor():
    with pytest.raises(BatchError) as error:
        READER.read((["cat", "dog"], Y), "Batch 1")
    assert str(error.value).startswith("Batch 1 holds a list of 2, which is no tensor and cannot become one (")
    assert str(error.value).endswith(
        "Inputs and labels are tensors, NumPy arrays, or nested lists of numbers of one length. "
        "Turn it into a tensor before it is yielded, for example in the `collate_fn` of the DataLoader."
    )


def test_a_stack_is_its_batches():
    stack = Stack((torch.arange(12).view(3, 2, 2),), torch.arange(6).view(3, 2), 3, 2, ("x",))
    first, _, last = stack
    assert isinstance(first, Batch)
    assert first.names == ("x",)
    torch.testing.assert_close(last.inputs[0], torch.tensor([[8, 9], [10, 11]]))
    torch.testing.assert_close(last.target, torch.tensor([4, 5]))


def test_a_label_without_dimensions_is_one_sample():
    assert Batch((X[0],), torch.tensor(1)).size == 1
    assert describe(3) == "an object of type int"


WHOLE = BatchReader(torch.float32, torch.device("cpu"), whole=True)


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (X, 1),
        (X.numpy(), 1),
        ([[1.0, 2.0], [3.0, 4.0]], 1),
        ((X,), 1),
        ([X], 1),
        ((X, Y), 2),
        ((X, X, Y), 3),
        (((X, X), Y), 3),
        (SimpleNamespace(images=X, labels=Y), 2),
    ],
)
def test_a_whole_batch_goes_to_a_module_with_its_own_loss(found, count):
    batch = WHOLE.read(found, "Batch 1")
    assert len(batch.positional) == count
    assert batch.labels == ()
    assert batch.size == len(batch.inputs[0])
    assert batch.inputs[-1].dtype == (torch.int64 if count > 1 else torch.float32)


def test_a_whole_dict_keeps_the_key_of_its_labels():
    batch = WHOLE.read({"labels": np.ones(3, dtype=np.int32), "x": np.ones((3, 2))}, "Batch 1")
    assert {name: (list(t.shape), t.dtype) for name, t in batch.named.items()} == {
        "labels": ([3], torch.int64),
        "x": ([3, 2], torch.float32),
    }


def test_a_whole_batch_of_zero_samples_is_refused():
    with pytest.raises(BatchError, match=r"^Batch 1 has no samples: its inputs are of shape \[0, 2\]"):
        WHOLE.read((X[:0],), "Batch 1")


def test_a_stack_without_labels_is_cut_into_batches_without():
    first, second = Stack((X.view(2, 2, 2),), None, 2, 2)
    assert torch.equal(first.inputs[0], X[:2])
    assert torch.equal(second.inputs[0], X[2:])
    assert first.labels == second.labels == ()
