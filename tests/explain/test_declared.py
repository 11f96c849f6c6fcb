# ruff: noqa: F821 - names of sizes in annotations
import pytest
import torch
from torch import nn

import tessera
from tessera import Tensor
from tessera.explain.declared import declared_sizes, size_text, sizes_named
from tessera.explain.stops import stops


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(256, 10)
        self.heads = 7

    def forward(self, h):
        return self.fc(h)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.inner = nn.Linear(512, 512), Inner()

    def forward(self, x: Tensor["B", "S", 512]) -> Tensor["B", "S", 10]:
        x = self.up(x).transpose(0, 1)
        return self.inner(x)


class Told(Net, tessera.nn.Module):
    pass


def names(function, *args):
    with pytest.raises(Exception) as raised:  # noqa: PT011
        function(*args)
    return declared_sizes(stops(raised.value))


@pytest.mark.parametrize("door", [lambda model: model, tessera.compile], ids=["call", "compile"])
def test_an_error_names_declared_sizes(door):
    with pytest.raises(RuntimeError) as raised:
        door(Told())(torch.zeros(8, 128, 512))
    assert "  Received: h: Tensor[S=128, B=8, 512] float32\n" in str(raised.value)


def test_what_was_given_counts_and_not_what_a_variable_became():
    assert names(Net(), torch.zeros(8, 128, 512)) == {8: "B", 128: "S"}


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((8, 8), {}), ((1, 128), {128: "S"}), ((10, 128), {128: "S"}), ((7, 128), {128: "S"}), ((256, 3), {3: "S"})],
    ids=["twice", "one", "declared number", "attribute", "size of a layer"],
)
def test_a_number_that_may_be_something_else_has_no_name(sizes, expected):
    assert names(Net(), torch.zeros(*sizes, 512)) == expected


def test_a_variable_that_something_else_was_assigned_to_says_nothing():
    class Plain:
        def call(self, x: Tensor["B", "S"], y: Tensor["C"]):
            x = x.sum()
            return y @ torch.ones(3)

    assert names(Plain().call, torch.zeros(6, 9), torch.zeros(5)) == {5: "C"}


def test_sizes_have_names_only_within():
    with sizes_named({8: "B"}):
        assert (size_text(8), size_text(9)) == ("B=8", "9")
    assert size_text(8) == "8"
