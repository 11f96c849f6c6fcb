from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.flat import FlatCall, left_out, output_names, tensors_of


@dataclass
class Output:
    logits: torch.Tensor
    hidden: tuple
    loss: None = None
    cache: object = None


A, B, C = torch.zeros(1), torch.ones(1), torch.ones(2)


class Pair(NamedTuple):
    left: torch.Tensor
    right: dict


class Nested(torch.nn.Module):
    def forward(self, batch, past, *, scale):
        return Output(batch["x"] * scale, (past[0], [past[1]]))


@pytest.mark.parametrize(
    ("answer", "tensors", "names"),
    [
        (A, [A], ["output"]),
        ((A, B), [A, B], ["output.0", "output.1"]),
        ({"x": A, "y": None}, [A], ["x"]),
        (Output(A, (B, [C])), [A, B, C], ["logits", "hidden.0", "hidden.1.0"]),
        (Pair(A, {"b": B}), [A, B], ["left", "right.b"]),
    ],
    ids=["tensor", "tuple", "dict", "dataclass", "named tuple"],
)
def test_all_tensors_of_an_answer_are_found_and_named(answer, tensors, names):
    assert [id(tensor) for tensor in tensors_of(answer)] == [id(tensor) for tensor in tensors]
    assert output_names(answer) == names


def test_two_outputs_of_one_name():
    with pytest.raises(ExportError) as error:
        output_names({"a": {"b": A}, "a.b": B})
    assert str(error.value) == (
        "The model's outputs are called a.b, a.b. Every output has a name of its own. Return a dict with other keys."
    )


def test_what_no_file_holds_is_named():
    assert left_out(Output(A, (B, 3), cache=object())) == ["hidden.1 (int)", "cache (object)"]
    assert left_out((A, None)) == []


def test_a_call_by_position():
    flat = FlatCall(Nested(), ({"x": A}, (B, C)), {"scale": 2.0})
    found = flat(B, A, C)
    assert [t.tolist() for t in found] == [[2.0], [0.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    "preprocessing",
    [lambda x: x / 255, lambda x: (x / 255,), lambda x: {"input": x / 255}],
    ids=["tensor", "tuple", "dict"],
)
def test_preprocessing_comes_first(preprocessing):
    module = torch.nn.Linear(2, 1)
    x = torch.tensor([[255.0, 0.0]])
    torch.testing.assert_close(FlatCall(module, (x,), {}, preprocessing)(x)[0], module(x / 255))
