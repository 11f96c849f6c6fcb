from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tessera.errors import BatchError
from tessera.train.inputs import InputReader, as_inputs

X, Z, Y = torch.ones(2, 3), torch.full((2, 4), 2.0), torch.tensor([3, 4])


class One(torch.nn.Module):
    def forward(self, x, mask=None):
        return x


class Two(torch.nn.Module):
    def forward(self, x, z):
        return x


class Named(torch.nn.Module):
    def forward(self, *, a, labels):
        return a


class Any(torch.nn.Module):
    def forward(self, *args, **kwargs):
        return args[0]


def read(module, found):
    batch = InputReader.of(module).read(found, "Batch 1 of the data")
    assert batch.target is batch.weight is None
    return batch.named or batch.positional


def same(found, expected):
    assert type(found) is type(expected)
    pairs = zip(found, expected, strict=True)
    if isinstance(found, dict):
        assert list(found) == list(expected)
        pairs = zip(found.values(), expected.values(), strict=True)
    assert all(a is b for a, b in pairs)


@pytest.mark.parametrize(
    ("module", "found", "inputs"),
    [
        # A tensor is inputs; the last part of a tuple is labels unless forward needs it.
        (One(), X, (X,)),
        (One(), (X,), (X,)),
        (One(), (X, Y), (X,)),
        (One(), [X, Y], (X,)),
        (One(), (X, Z, Y), (X, Z)),
        (Two(), (X, Z), (X, Z)),
        (Two(), (X, Z, Y), (X, Z)),
        (Two(), ((X, Z), Y), (X, Z)),
        (Two(), ((X, Z),), (X, Z)),
        (Any(), (X, Y), (X,)),
        # By name.
        (One(), {"x": X}, {"x": X}),
        (One(), {"x": X, "labels": Y}, {"x": X}),
        (One(), {"x": X, "mask": Z, "target": Y, "sample_weight": Y}, {"x": X, "mask": Z}),
        (Named(), {"a": X, "labels": Y}, {"a": X, "labels": Y}),
        (Named(), {"a": X, "labels": Y, "sample_weight": Y}, {"a": X, "labels": Y}),
        (Two(), ({"x": X, "z": Z}, Y), {"x": X, "z": Z}),
        # Objects.
        (One(), SimpleNamespace(images=X, labels=Y), (X,)),
        (One(), SimpleNamespace(inputs=X), (X,)),
        (Two(), SimpleNamespace(inputs=(X, Z), targets=Y), (X, Z)),
    ],
)
def test_inputs_and_labels_are_told_apart(module, found, inputs):
    same(read(module, found), inputs)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (np.ones((2, 3)), X),
        ([[1.0, 1, 1], [1, 1, 1]], X),
        (([[1.0, 1, 1], [1, 1, 1]], [3, 4]), X),
        (np.ones((2, 3), dtype=np.int32), torch.ones(2, 3, dtype=torch.int32)),
    ],
)
def test_arrays_and_lists_become_tensors(found, expected):
    (tensor,) = read(torch.nn.Linear(3, 1), found)
    torch.testing.assert_close(tensor, expected)


def test_floats_come_in_the_models_dtype():
    assert read(torch.nn.Linear(3, 1).bfloat16(), np.ones((2, 3)))[0].dtype is torch.bfloat16


@pytest.mark.parametrize("found", ["text", object(), ([[1.0], [2.0, 3.0]],)])
def test_what_is_no_tensor_is_refused(found):
    with pytest.raises(BatchError):
        read(One(), found)


def test_an_empty_batch_is_refused():
    with pytest.raises(BatchError, match=r"^Batch 1 of the data has no samples: its inputs are of shape \[0, 3\]"):
        read(One(), torch.ones(0, 3))


def test_a_list_of_numbers_is_an_array():
    for numbers in ([1.0, 2.0], [[1, 2], [3, 4]], [[True]]):
        assert as_inputs(numbers) == (numbers,)
    for other in ([X, X], [(X, Y)], [], [[]], X, (X, Y), {"x": X}):
        assert as_inputs(other) is other
