"""Every example in a docstring of tessera.optim runs, and every public optimizer and transformation has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import tessera.optim

MODULES = [m.name for m in pkgutil.walk_packages(tessera.optim.__path__, "tessera.optim.") if not m.ispkg]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def test_what_is_public_shows_an_example():
    without = [
        name
        for name, value in vars(tessera.optim).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and ">>>" not in (value.__doc__ or "")
        and "as a gradient transformation." not in (value.__doc__ or "")
    ]
    assert sorted(without) == ["Schedule", "identity"]
