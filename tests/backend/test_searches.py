"""Numbers that are sought among symbols; containers that hold none are searched as before."""

from __future__ import annotations

import pytest
import torch

from tessera.backend.mistraced import SOUGHT
from tessera.backend.searches import lines_of_search, searches_symbols
from tessera.torch_internals import Symbols
from tests.backend.stepped_down import check

SIZES = Symbols(any=True, numbers=False, elements=False)
NUMBERS = Symbols(any=True, numbers=True, elements=False)
ELEMENTS = Symbols(any=True, numbers=True, elements=True)
NONE = Symbols(any=False, numbers=False, elements=False)


def of_a_shape(x, k):
    return 3 in x.shape


def of_a_size(x, k):
    return 3 not in x.size()


def of_variables(x, k):
    return x in (0, k - 1)


def of_attributes(x, k):
    return x in (k.first, k.last)


def of_what_is_given(x, k):
    return x in k


def of_constants(x, k):
    return x in (1, 2, 3) or k.count(3)


@pytest.mark.parametrize(
    ("function", "among"),
    [
        (of_a_shape, (SIZES, NUMBERS, ELEMENTS)),
        (of_a_size, (SIZES, NUMBERS, ELEMENTS)),
        (of_variables, (SIZES, NUMBERS, ELEMENTS)),
        (of_attributes, (NUMBERS, ELEMENTS)),
        (of_what_is_given, (ELEMENTS,)),
        (of_constants, ()),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_may_be_symbols(function, among):
    for symbols in (NONE, SIZES, NUMBERS, ELEMENTS):
        assert searches_symbols([function.__code__], symbols) == (symbols in among)
    assert {line - function.__code__.co_firstlineno for line in lines_of_search(function.__code__)} == {1}


def test_sizes():
    sizes = [(torch.ones(n, 2),) for n in (4, 5, 3, 6)]
    assert SOUGHT in check(lambda x: (x * 2, 3 in x.shape), *sizes)


def test_numbers_in_a_list():
    x = torch.ones(2)
    assert SOUGHT in check(
        lambda x, keep: (x * 2, 0 in keep, 2 in keep), *((x, [a, b]) for a, b in ((0, 1), (2, 3), (0, 2)))
    )


def test_where_nothing_is_computed():
    x = torch.ones(2)
    assert not check(lambda x, keep: (x, 0 in keep), (x, [0, 1]), (x, [2, 3]), (x, [0, 2]), (x, [4, 0]))


def test_the_last_of_several():
    x = torch.ones(2)
    assert SOUGHT in check(lambda x, n: (x * 2, [i for i in range(4) if i in (0, n - 1)]), (x, 2), (x, 3), (x, 4))


def test_other_searches_stay_compiled():
    def function(x, name, table, n):
        return x * n, name in table, "a" in ("a", name), n in (1, 2, 3)

    calls = [(torch.ones(size, 2), "a", {"a": 1}, n) for size, n in ((2, 5), (3, 6), (4, 7), (5, 2))]
    assert not check(function, *calls)
