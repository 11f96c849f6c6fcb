import ast

import pytest
import torch
import torch.nn.functional as F

from tessera.explain.operation import operation_at
from tessera.explain.stops import stops


def at(function, *args):
    with pytest.raises((RuntimeError, IndexError, TypeError, ValueError)) as raised:
        function(*args)
    return next(found for stop in reversed(stops(raised.value)) if (found := operation_at(stop)) is not None)


X, Y = torch.ones(2, 3), torch.ones(4, 5)


@pytest.mark.parametrize(
    ("function", "name", "values"),
    [
        (lambda x, y: x @ y, "matmul", ["input", "other"]),
        (lambda x, y: torch.add(x, y, alpha=2), "add", ["input", "other", "alpha"]),
        (lambda x, y: x.add(y), "add", ["input", "other"]),
        (lambda x, y: x < y, "lt", ["input", "other"]),
        (lambda x, y: x[0, 5], "getitem", ["input", "index"]),
        (lambda x, y: F.linear(x, weight=y), "linear", ["input", "weight"]),
        (lambda x, y: x.view(4, 5), "view", ["input", "shape"]),
        (lambda x, y: x.view((4, 5)), "view", ["input", "shape"]),
        (lambda x, y: x.gather(5, index=y.long()), "gather", ["input", "dim", "index"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_operands_have_the_names_of_the_manual(function, name, values):
    found = at(function, X, Y)
    assert found.name == name
    assert list(found.values) == values
    assert found.values["input"] is X
    assert not found.fits() or name in ("getitem", "gather")


def test_it_is_tried_with_other_values():
    found = at(lambda x, y: torch.matmul(x, other=y), X, Y)
    assert not found.fits()
    assert found.fits(other=torch.empty(3, 7, device="meta"))
    assert list(found.result(other=torch.empty(3, 7, device="meta")).shape) == [2, 7]


def test_names_on_the_left_are_counted():
    def unpack(x):
        a, b, c = x
        return a, b, c

    found = at(unpack, X)
    assert (found.name, found.values["targets"], found.values["names"]) == ("unpack", 3, "a, b, c")
    assert ast.unparse(found.nodes["input"]) == "x"
