from __future__ import annotations

import collections
import random

import torch

from tessera.backend.own_methods import owner_of, root_of


class Own:
    """Has one of its own."""

    def __eq__(self, other):
        return True

    __hash__ = None


class Inherits(Own, collections.OrderedDict):
    """Has it from its base."""


def test_the_class_that_a_method_comes_from():
    assert owner_of(Inherits, "__eq__") is Own
    assert owner_of(Own, "__hash__") is None
    assert owner_of(Own, "__del__") is None
    assert owner_of(collections.OrderedDict, "__eq__") is None
    assert owner_of(random.Random, "__getstate__") is None
    assert owner_of(torch.nn.Module, "__getattr__") is None


def test_the_package_of_classes_functions_and_objects():
    assert root_of(torch.nn.Linear) == root_of(torch.nn.Linear(1, 1)) == root_of(torch.nn.functional.relu) == "torch"
    assert root_of(random.Random) == root_of(random.Random(0)) == "random"
