import operator

import pytest
import torch

from tessera.program.in_place import is_in_place


@pytest.mark.parametrize("name", ["add_", "masked_fill_", "__iadd__", "__irshift__", "setitem", "iadd", "imatmul"])
def test_what_writes(name):
    assert is_in_place(name)


@pytest.mark.parametrize(
    "name", ["and_", "or_", "not_", "is_", "add", "__and__", "__invert__", "__index__", "_to_copy", "", "index", "inv"]
)
def test_what_does_not(name):
    assert not is_in_place(name)


def test_every_operator_of_python_is_told_right():
    for name in filter(lambda each: not each.startswith("_"), dir(operator)):
        twin = getattr(operator, name.removeprefix("i"), None) or getattr(operator, name.removeprefix("i") + "_", None)
        reads = name in ("index", "is_", "is_not", "inv", "invert", "itemgetter", "indexOf", "is_none", "is_not_none")
        written = name == "setitem" or (name.startswith("i") and twin is not None and not reads)
        assert is_in_place(name) == (written and name != "iconcat"), name


def test_methods_of_a_tensor_with_an_underscore_write():
    for name in filter(lambda each: each.endswith("_") and not each.startswith("_"), dir(torch.Tensor)):
        assert is_in_place(name), name
