"""Constants that are sought among tensors and objects; searches that Dynamo gets right stay compiled."""

from __future__ import annotations

import pytest
import torch

from tessera.backend.mistraced import NEVER_EQUAL
from tests.backend.stepped_down import check


class Named:
    """Is equal to its name."""

    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return other == self.name

    __hash__ = None


ONE, TWO = torch.tensor(1.0), torch.tensor(2.0)
X = torch.ones(2, 3)


def among_arguments(x, k):
    return x * 2, 2.0 in [k, k], 1 in (k, 5.0)


def among_what_was_computed(x, k):
    y = k + 1
    return x * 2, 2.0 in [y, 9], 2.0 not in (k * 1, 7)


def among_what_was_gathered(x, k):
    both = [k * i for i in (1, 2)]
    return x * 2, 2 in both


def among_the_rest(x, *rest):
    return x * 2, 2 in rest


def of_a_helper(x, k):
    return x * 2, holds(k, 1.0)


def holds(a, number):
    return number in (a, a)


@pytest.mark.slow
@pytest.mark.parametrize(
    "function", [among_arguments, among_what_was_computed, among_what_was_gathered, among_the_rest, of_a_helper]
)
def test_tensors(function):
    assert NEVER_EQUAL in check(function, (X, ONE), (X, TWO))


def test_tensors_in_a_list_that_is_given():
    assert NEVER_EQUAL in check(lambda x, those: (x * 2, 2.0 in those), (X, [ONE, TWO]), (X, [ONE, ONE]))
    assert NEVER_EQUAL in check(lambda x, those, n: (x * 2, n in those), (X, [ONE, TWO], 2), (X, [ONE, ONE], 2))


def test_tensors_in_a_list_of_an_object():
    layer = torch.nn.Linear(3, 3)
    layer.marks = [ONE]

    def function(x):
        return layer(x).detach(), 1.0 in layer.marks

    assert NEVER_EQUAL in check(function, (X,))


def test_objects():
    options = [Named("a"), Named("b")]
    assert NEVER_EQUAL in check(lambda x, name: (x * 2, name in options, "b" in options), (X, "a"), (X, "c"))


def test_other_searches_stay_compiled():
    steps, seen = [1, 2, 3], {4, 5}

    def function(x, name, k, n):
        y = x * k
        z = y + 1 if n in (1, 2) or name in ("a", "b") or 4 in seen else y
        return z, "a" in (name, "c"), 2 in steps, None in (k, 1), n in (len(steps), x.shape[0]), 7 in [n, 3]

    assert not check(function, (X, "a", TWO, 3), (X, "c", ONE, 3))
