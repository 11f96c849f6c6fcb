"""Every example in a docstring of tessera.transforms is run."""

import doctest
import importlib
import pkgutil

import pytest

import tessera.transforms

NAMES = [each.name for each in pkgutil.iter_modules(tessera.transforms.__path__)]
WITH_EXAMPLES = ["associative_scan", "cond", "gradients", "jacobians", "products", "vmap", "while_loop"]


@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"tessera.transforms.{name}"))
    assert found.failed == 0
    assert (found.attempted > 0) == (name in WITH_EXAMPLES)
