"""Dynamo words an exception by its arguments alone; where that would show, a function runs as it is."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.backend.exception_texts import takes_text_of_exception


class Told(ValueError):
    def __str__(self):
        return f"told of {self.args[0]}"


def says_which_key(table):
    try:
        return table["k"]
    except KeyError as error:
        return f"no {error}"


def hands_it_on(table, log):
    try:
        return table["k"]
    except (IndexError, LookupError) as error:
        log.append(error)
        return None


def _tell(table):
    raise Told(table)


def tells(table):
    try:
        _tell(table)
    except Told as error:
        return str(error)


class Noting:
    def __init__(self):
        self.log = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.log.append(str(error))
        return True


class Closing(Noting):
    def __exit__(self, kind, error, trace):
        return error is not None and isinstance(error.args, tuple)


def arguments_only(table):
    try:
        return table["k"]
    except KeyError as error:
        return error.args


def of_its_arguments(table):
    try:
        return table["k"]
    except ValueError as error:
        return str(error)


def raises_another(table):
    try:
        return table["k"]
    except KeyError as error:
        raise ValueError("none") from error


@pytest.mark.parametrize("function", [says_which_key, hands_it_on, tells, Noting.__exit__])
def test_where_it_shows(function):
    assert takes_text_of_exception(function)


@pytest.mark.parametrize("function", [arguments_only, of_its_arguments, raises_another, Closing.__exit__])
def test_where_it_does_not(function):
    assert not takes_text_of_exception(function)


def test_the_text_is_that_of_python():
    def plain(x, table):
        with (noting := Noting()):
            x = x * 2 + table["z"]
        return x + 1, says_which_key(table), tells("you"), noting.log

    compiled, x = tessera.compile(plain), torch.ones(3)
    for table in ({"k": "it", "z": 1}, {}, {"z": 2}):
        expected, found = plain(x, table), compiled(x, table)
        assert torch.equal(found[0], expected[0])
        assert found[1:] == expected[1:]
    assert compiled(x, {})[1:] == ("no 'k'", "told of you", ["'z'"])
