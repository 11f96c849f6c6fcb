from __future__ import annotations

import functools
import math

from tessera.data.callables import line_of, line_of_error, name_of, takes_rng


def plain(sample):
    return json_of(sample)


def json_of(sample):
    return math.sqrt(sample)


def with_rng(sample, rng):
    return rng


class Callable:
    def __call__(self, sample, *, rng=None):
        return sample

    def method(self, sample):
        return sample


def test_names():
    assert name_of(plain) == "plain"
    assert name_of(functools.partial(plain, 1)) == "plain"
    assert name_of(Callable()) == "Callable"
    assert name_of(Callable().method) == "Callable.method"
    assert name_of(math.sqrt) == "sqrt"
    assert "<lambda>" in name_of(lambda sample: sample)


def test_lines():
    line = plain.__code__.co_firstlineno
    assert (line_of(plain).file, line_of(plain).line) == (__file__, line)
    assert line_of(functools.partial(plain)).line == line
    assert line_of(Callable()).line == Callable.__call__.__code__.co_firstlineno
    assert line_of(Callable().method).line == Callable.method.__code__.co_firstlineno
    assert line_of(math.sqrt) is None


def test_who_asks_for_a_generator():
    assert takes_rng(with_rng)
    assert takes_rng(Callable())
    assert takes_rng(functools.partial(with_rng))
    assert not takes_rng(plain)
    assert not takes_rng(math.sqrt)
    assert not takes_rng(min)


def test_the_innermost_line_of_the_users_own():
    try:
        plain(-1)
    except ValueError as error:
        found = line_of_error(error)
    assert (found.file, found.code) == (__file__, "return math.sqrt(sample)")
    assert line_of_error(ValueError("raised nowhere")) is None
