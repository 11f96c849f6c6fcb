import operator

import pytest
import torch
from torch import fx

from tessera.backend.stability.spelling import call_of

GRAPH = fx.Graph()
X, Y = GRAPH.placeholder("x"), GRAPH.placeholder("y")


@pytest.mark.parametrize(
    ("node", "name", "args", "writes"),
    [
        (GRAPH.call_function(torch.exp, (X,)), "exp", (X,), False),
        (GRAPH.call_method("exp", (X,)), "exp", (X,), False),
        (GRAPH.call_method("exp_", (X,)), "exp", (X,), True),
        (GRAPH.call_function(torch.special.expit, (X,)), "sigmoid", (X,), False),
        (GRAPH.call_function(torch.nn.functional.softmax, (X, 1)), "softmax", (X, 1), False),
        (GRAPH.call_function(operator.truediv, (X, Y)), "div", (X, Y), False),
        (GRAPH.call_function(operator.isub, (X, Y)), "sub", (X, Y), True),
        (GRAPH.call_method("__rsub__", (X, 1)), "sub", (1, X), False),
        (GRAPH.call_function(torch.rsub, (X, 1)), "sub", (1, X), False),
        (GRAPH.call_function(torch.log, (), {"input": X}), "log", (X,), False),
        (GRAPH.call_function(torch.nn.functional.relu, (X,), {"inplace": True}), "relu", (X,), True),
        (GRAPH.call_function(torch.add, (X, Y), {"out": Y}), "add", (X, Y), True),
        (GRAPH.call_function(operator.setitem, (X, 0, Y)), "setitem", (X, 0, Y), True),
    ],
    ids=str,
)
def test_one_name_for_every_spelling(node, name, args, writes):
    call = call_of(node)
    assert (call.name, call.args, call.writes) == (name, args, writes)


def test_somebody_elses_function_of_the_same_name_is_none_of_torchs():
    def exp(x):
        return x

    assert call_of(GRAPH.call_function(exp, (X,))) is None
    assert call_of(X) is None


def test_arguments_are_found_by_place_and_by_name():
    assert call_of(GRAPH.call_function(torch.sum, (X, 1))).get(1, "dim") == 1
    assert call_of(GRAPH.call_function(torch.sum, (X,), {"axis": 2})).get(1, "dim") == 2
    assert call_of(GRAPH.call_method("sum", (X,), {"keepdims": True})).get(2, "keepdim", False) is True
