import math

import pytest
import torch

from tessera.backend.attention.constant import constant, number
from tests.backend.attention.captures import traced

X = torch.rand(3, 4)


def last(function):
    trace = traced(function, X)
    return trace.graph.output_node().args[0][-1]


def test_what_depends_on_no_input_is_computed():
    value = constant(last(lambda x: (x.sum(), torch.ones(3, 4).tril() == 0)[1]))
    assert torch.equal(value, torch.ones(3, 4).tril() == 0)


@pytest.mark.parametrize(
    "made", [lambda x: x + 1, lambda x: torch.rand(3) + x.shape[0], lambda x: torch.zeros_like(x) + x]
)
def test_what_depends_on_an_input_or_on_chance_is_not_known(made):
    assert constant(last(made)) is None


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda x: torch.tensor(-1e9), -1e9),
        (lambda x: torch.full_like(x, -math.inf), -math.inf),
        (lambda x: torch.sqrt(torch.tensor(16.0)), 4.0),
        (lambda x: torch.full((3, 4), 2.5), 2.5),
        (lambda x: torch.arange(3), None),
        (lambda x: x.sum(), None),
    ],
)
def test_a_number_is_what_a_tensor_is_everywhere(made, expected):
    assert number(last(made)) == expected


def test_python_numbers_are_numbers():
    assert (number(2), number(0.5), number(None)) == (2.0, 0.5, None)
