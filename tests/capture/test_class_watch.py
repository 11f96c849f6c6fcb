"""Classes are the ones that were captured: same methods, none that comes first."""

from __future__ import annotations

import abc

import pytest
import torch

import tessera
from tessera.capture.class_watch import ClassWatch


def _watch():
    class Base:
        def go(self):
            return 1

        def other(self):
            return 2

        @property
        def size(self):
            return 3

        k = 4

    class Own(Base):
        pass

    watch = ClassWatch()
    watch.see([Own], frozenset({Base.go.__code__, Base.size.fget.__code__}))
    assert watch.holds()
    return watch, Base, Own


@pytest.mark.parametrize("name", ["go", "size"])
def test_a_method_that_is_replaced(name):
    watch, base, _ = _watch()
    setattr(base, name, lambda self: 7)
    assert not watch.holds()
    watch.forget()
    assert watch.holds()


def test_a_method_that_comes_first():
    watch, _, own = _watch()
    own.go = lambda self: 7
    assert not watch.holds()


def test_a_value_that_comes_first():
    watch, _, own = _watch()
    watch.see([own], frozenset({(lambda o: o.k).__code__}))
    own.count = 1
    assert watch.holds()
    own.k = 5
    assert not watch.holds()


def test_what_does_not_matter():
    watch, base, own = _watch()
    base.other = lambda self: 7
    base.k = 5
    own.count = 1
    assert watch.holds()
    own.count = 2
    assert watch.holds()


def test_a_class_that_is_registered():
    class Shape(abc.ABC):  # noqa: B024 - nothing is abstract in it
        pass

    watch = ClassWatch()
    watch.see([Shape], frozenset())
    assert watch.holds()
    Shape.register(type("Square", (), {}))
    assert not watch.holds()


def test_a_method_gets_another_code():
    class Scaled:
        def run(self, x):
            return x * 2

    scaled = Scaled()
    compiled = tessera.compile(lambda x: scaled.run(x) + 0)
    assert compiled(torch.ones(1)).item() == 2
    Scaled.run.__code__ = (lambda self, x: x * 9).__code__
    assert compiled(torch.ones(1)).item() == 9
