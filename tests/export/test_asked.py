from __future__ import annotations

import pytest
import torch

import tessera
from tessera.errors import ExportError, ShapeError
from tessera.export.asked import read_example
from tessera.train.batches import Batch
from tessera.train.example_inputs import remember_inputs

X = torch.randn(4, 3)


class Two(torch.nn.Module):
    def forward(self, x, y, *, scale=1.0):
        return (x + y) * scale


class Nested(torch.nn.Module):
    def forward(self, batch, past=()):
        return batch["ids"] * batch["mask"] + sum(each.sum() for each in past)


@pytest.mark.parametrize("inputs", [X, (X,), [X], {"input": X}], ids=["tensor", "tuple", "list", "dict"])
def test_the_first_dimension_is_the_batch(inputs):
    module = torch.nn.Linear(3, 1)
    flat, example = read_example(module, inputs, None)
    assert (example.names, example.dims, example.sizes) == (("input",), ({0: "batch"},), {"batch": 4})
    torch.testing.assert_close(example.call(flat)[0], module(X))


def test_only_inputs_as_long_as_the_first_have_a_batch():
    _, example = read_example(Two(), (X, torch.zeros(3)), None)
    assert example.dims == ({0: "batch"}, {})


@pytest.mark.parametrize(
    "dims", [{"x": {0: "B"}, "y": {0: "B", -1: "S"}}, ({0: "B"}, {0: "B", 1: "S"})], ids=["by name", "in order"]
)
def test_dims(dims):
    _, example = read_example(Two(), (X, X[:, :1]), dims)
    assert example.names == ("x", "y")
    assert example.dims == ({0: "B"}, {0: "B", 1: "S"})


def test_a_constant_stays_in_the_call():
    flat, example = read_example(Two(), {"y": X, "x": X, "scale": 3.0}, {"x": {0: "B"}})
    assert (example.names, example.dims) == (("y", "x"), ({}, {0: "B"}))
    torch.testing.assert_close(example.call(flat)[0], 6 * X)


@pytest.mark.parametrize(
    "dims",
    [
        {"batch": {"ids": {0: "B"}, "mask": {0: "B"}}, "past": ({0: "B"}, {})},
        {"batch": {0: "B"}, "past.0": {0: "B"}},
        {"batch.ids": {0: "B"}, "batch.mask": {0: "B"}, "past": [{0: "B"}]},
    ],
    ids=["nested", "one for all", "dotted"],
)
def test_nested_inputs(dims):
    flat, example = read_example(Nested(), ({"ids": X, "mask": X}, (X, torch.ones(2))), dims)
    assert example.names == ("batch.ids", "batch.mask", "past.0", "past.1")
    assert example.dims == ({0: "B"}, {0: "B"}, {0: "B"}, {})
    torch.testing.assert_close(example.call(flat)[0], X * X + X.sum() + 2)


def test_the_largest_size():
    _, example = read_example(torch.nn.Linear(3, 1), X, {"input": {0: torch.export.Dim("B", max=64)}})
    assert (example.dims, dict(example.largest)) == (({0: "B"},), {"B": 64})


def test_the_smallest_size():
    batch, length = torch.export.Dim("B", min=3), torch.export.Dim("S", min=2, max=8)
    _, example = read_example(torch.nn.Linear(3, 1), X, {"input": {0: batch, 1: length}})
    assert (dict(example.smallest), dict(example.largest)) == ({"B": 3, "S": 2}, {"S": 8})
    _, example = read_example(torch.nn.Linear(3, 1), X, {"input": {0: torch.export.Dim("B")}})
    assert dict(example.smallest) == {}
    said = r"B is 4 in input\. It was declared to be 5 at least\. Pass a larger example"
    with pytest.raises(ExportError, match=said):
        read_example(torch.nn.Linear(3, 1), X, {"input": {0: torch.export.Dim("B", min=5)}})


def test_declared_sizes_have_their_names():
    class Annotated(torch.nn.Module):
        def forward(self, x: tessera.Tensor[B, S], mask: tessera.Tensor[B, 3]):  # noqa: F821
            return x * mask

    _, example = read_example(Annotated(), (X, X), None)
    assert example.dims == ({0: "B", 1: "S"}, {0: "B"})
    with pytest.raises(ShapeError):
        read_example(Annotated(), (X, X[:2]), None)


def test_declared_arithmetic_is_followed():
    class Annotated(torch.nn.Module):
        def forward(self, x: tessera.Tensor[B, T], y: tessera.Tensor[B, 2 * T]):  # noqa: F821
            return x, y

    _, example = read_example(Annotated(), (X, torch.randn(4, 6)), None)
    assert example.dims == ({0: "B", 1: "T"}, {0: "B", 1: "2*T"})
    assert example.fresh({"T": 5}, seed=0).tensors[1].shape == (4, 10)


@pytest.mark.parametrize("twice", ["2*T", 2 * torch.export.Dim("T")], ids=["text", "torch's"])
def test_dims_that_are_computed(twice):
    _, example = read_example(Two(), (X, torch.randn(4, 6)), {"x": {1: "T"}, "y": {1: twice}})
    assert example.dims == ({1: "T"}, {1: "2*T"})
    with pytest.raises(ExportError, match=r"2\*T is 5 in dimension 1 of y, and is 6 for T 3. A size that is computed"):
        read_example(Two(), (X, torch.randn(4, 5)), {"x": {1: "T"}, "y": {1: twice}})
    with pytest.raises(ExportError, match=r"dims calls dimension 1 of y 'T % 2'. A size that may change is a name, or"):
        read_example(Two(), (X, X), {"x": {1: "T"}, "y": {1: "T % 2"}})


def test_the_inputs_of_the_last_training_are_an_example():
    module = torch.nn.Linear(3, 1)
    remember_inputs(module, Batch((X,), torch.zeros(4)))
    torch.testing.assert_close(read_example(module, None, None)[1].tensors[0], X[:2])


@pytest.mark.parametrize(("inputs", "found"), [(None, "nothing"), ((), "nothing"), ((1, "a"), "int, str")])
def test_no_example(inputs, found):
    with pytest.raises(ExportError) as error:
        read_example(torch.nn.Linear(3, 1), inputs, None)
    assert str(error.value) == (
        f"example_inputs holds {found}, and Linear was not trained with fit before. "
        "An export follows one call of the model, so it needs the tensors of such a call. "
        "Write for example model.export('model.onnx', example_inputs=torch.randn(2, 784))."
    )


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        (
            {"z": {0: "B"}},
            "dims speaks of 'z'. The example's inputs are x, y. Write for example dims={'x': {0: 'batch'}}.",
        ),
        (
            ({0: "B"},),
            (
                "dims has 1 entries, and the example 2 inputs. There is one entry for each input, in order; {} is one "
                "whose sizes are all fixed. Write for example dims=({0: 'batch'}, {})."
            ),
        ),
        (
            {"x": {2: "B"}},
            (
                "dims speaks of dimension 2 of x, whose shape in the example is [4, 3]. Its dimensions are counted "
                "from 0 to 1. Write the position of the dimension that may change."
            ),
        ),
        (
            {"x": "B"},
            (
                "dims says 'B' of x. It says which dimensions of an input may have another length, by position, and "
                "what each is called. Write for example dims={'x': {0: 'batch'}}."
            ),
        ),
        (
            {"x": {0: "B"}, "y": {1: "B"}},
            (
                "B is 4 in dimension 0 of x and 3 in dimension 1 of y. Inputs that use one name have one length. "
                "Pass an example whose sizes agree, or give one of the two another name."
            ),
        ),
        (
            {"x": {0: torch.export.Dim("B", max=2)}},
            "B is 4 in x. It was declared to be 2 at most. Pass a smaller example, or declare a larger size.",
        ),
    ],
    ids=["unknown", "too few", "no such dimension", "no axes", "two lengths", "over the largest"],
)
def test_dims_that_are_not_the_examples(dims, message):
    with pytest.raises(ExportError) as error:
        read_example(Two(), (X, X), dims)
    assert str(error.value) == message
