"""The examples in the docstrings run as they stand."""

from __future__ import annotations

import doctest

import pytest

from tessera.checkpoint import manager, saving


@pytest.mark.parametrize("module", [manager, saving], ids=lambda module: module.__name__)
def test_examples_run(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
