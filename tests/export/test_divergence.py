from __future__ import annotations

import pytest
import torch

from tessera.export.asked import read_example
from tessera.export.divergence import Difference, first_difference
from tessera.export.format import Format, Written
from tessera.export.traced import traced

X = torch.randn(4, 3)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x):
        y = self.layer(x).sigmoid()
        z = torch.nn.functional.gelu(y)
        return z * 2 + y.sum()


class Looking(torch.nn.Module):
    def forward(self, x):
        y = x.exp()
        if x.shape[0] == 1:
            y = y + 1
        return y.cos()


def wrong_at(operator):
    """A format that computes one operator otherwise."""
    programs = {}

    def write(flat, example, path, options):
        programs["last"] = traced(flat, example).module()
        return Written()

    class Interpreter(torch.fx.Interpreter):
        def call_function(self, target, args, kwargs):
            found = super().call_function(target, args, kwargs)
            return found + 0.5 if operator in str(target) else found

    def load(path):
        return lambda case: list(Interpreter(programs["last"]).run(*case.tensors))

    return Format(name="Wrong", endings=(".wrong",), packages=(), install="", write=write, load=load)


@pytest.mark.parametrize(
    ("operator", "line"),
    [("aten.gelu", "z = torch.nn.functional.gelu(y)"), ("aten.sigmoid", "y = self.layer(x).sigmoid()")],
)
def test_the_first_operator_that_differs_is_named(operator, line):
    flat, example = read_example(Net().eval(), X, None)
    found = first_difference(wrong_at(operator), flat, example, example)
    assert found is not None
    assert (found.operator, found.where.code, found.where.file) == (operator, line, __file__)
    assert found.distance == pytest.approx(0.5, rel=1e-3)


def test_a_path_that_the_trace_does_not_take_is_named():
    flat, example = read_example(Looking(), X, None)
    found = first_difference(wrong_at("nothing"), flat, example, example.resized({"batch": 1}))
    assert found is not None
    assert (found.operator, found.distance, found.where.code) == ("aten.add.Tensor", None, "y = y + 1")


def test_where_nothing_differs_nothing_is_found():
    flat, example = read_example(Net().eval(), X, None)
    assert first_difference(wrong_at("nothing"), flat, example, example) is None


def test_in_words():
    assert str(Difference("aten.gelu", None, 0.5)) == ("The first operator whose value differs, by 0.5, is aten.gelu.")
    assert str(Difference("aten.add", None, None)) == (
        "The traced model takes another path than the model at aten.add."
    )
