from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import torch

from tessera.errors import BatchError
from tessera.train.outputs import join, on_host


class Pair(NamedTuple):
    first: Any
    second: Any


class Output(OrderedDict):
    """As Hugging Face's: a dict with attributes."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        vars(self)[key] = value


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: (x, 2 * x),
        lambda x: [x, (x, None)],
        lambda x: {"a": x, "b": {"c": x[:, :1]}},
        lambda x: Pair(x, None),
        lambda x: (),
        lambda x: None,
    ],
)
def test_the_structure_stays(make):
    whole = torch.randn(5, 2)
    joined = join([on_host(make(part), len(part)) for part in whole.split(2)])
    assert type(joined) is type(make(whole))
    torch.testing.assert_close(joined, make(whole), rtol=0, atol=0) if joined is not None else None
    assert str(joined) == str(make(whole))


def test_a_class_of_outputs_stays_too():
    whole = torch.randn(5, 2)
    outputs = [Output(logits=part, rest=None) for part in whole.split(3)]
    joined = join([on_host(output, len(output["logits"])) for output in outputs])
    assert type(joined) is Output
    assert torch.equal(joined.logits, whole)
    assert torch.equal(joined["logits"], whole)
    assert torch.equal(outputs[0].logits, whole[:3])  # the model's own is left alone


def test_another_mapping_becomes_a_dict():
    assert join([on_host(MappingProxyType({"a": None}), 2)]) == {"a": None}


def test_what_is_kept_is_a_copy():
    memory = torch.zeros(2, 1)
    kept = [on_host(memory.fill_(number), 2) for number in range(3)]
    assert join(kept).flatten().tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_dtypes_stay(dtype):
    part = torch.ones(2, 3, dtype=dtype)
    assert join([on_host(part, 2), on_host(part, 2)]).dtype is dtype


@pytest.mark.parametrize(
    ("output", "described"),
    [
        (torch.tensor(1.0), "a torch.float32 tensor of shape []"),
        (torch.ones(3, 2), "a torch.float32 tensor of shape [3, 2]"),
        ({"logits": torch.ones(2), "text": "yes"}, "an object of type str"),
        ((torch.ones(2), 1.0), "an object of type float"),
        ((object(),), "an object of type object"),
    ],
)
def test_what_has_no_samples_is_refused(output, described):
    with pytest.raises(BatchError) as caught:
        on_host(output, 2)
    assert str(caught.value) == (
        f"The model returned {described} for a batch of 2 samples. "
        "Outputs are joined sample by sample: tensors whose first dimension is 2, and tuples, lists and dicts of them. "
        "Write keep=lambda output: ... to choose what is kept of the output of each batch."
    )


@pytest.mark.parametrize(
    ("first", "second", "described"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), "[2, 3] and [2, 4]"),
        (torch.ones(2, 3), None, "[2, 3] and an object of type NoneType"),
        (None, torch.ones(2), "an object of type NoneType and [2]"),
    ],
)
def test_outputs_that_do_not_join_are_refused(first, second, described):
    with pytest.raises(BatchError) as caught:
        join([{"a": first}, {"a": second}])
    assert str(caught.value) == (
        f"The model returned outputs of the shapes {described}. "
        "The outputs of all batches are alike in all dimensions but the first. "
        "Pad the inputs of all batches to one length, or write keep=lambda output: ... to keep what is alike."
    )


@pytest.mark.parametrize(
    ("first", "second", "described"),
    [
        ({"a": None}, {"b": None}, "a dict with the keys ['a'] for one batch and a dict with the keys ['b']"),
        ((None,), (None, None), "a tuple of 1 for one batch and a tuple of 2"),
        ((None,), None, "a tuple of 1 for one batch and an object of type NoneType"),
        ({"a": None}, (None,), "a dict with the keys ['a'] for one batch and a tuple of 1"),
    ],
)
def test_outputs_of_different_structure_are_refused(first, second, described):
    with pytest.raises(BatchError) as caught:
        join([first, second])
    assert str(caught.value) == (
        f"The model returned {described} for another. The outputs of all batches have one structure. "
        "Write keep=lambda output: ... to choose what is kept of the output of each batch."
    )
