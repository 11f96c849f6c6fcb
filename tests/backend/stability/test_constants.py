import pytest
import torch

from tessera.backend.stability import constants
from tessera.backend.stability.constants import constant
from tests.backend.attention.captures import capture

X = torch.randn(3, 3)


def known(function):
    """What is known of the last operand of a function's result."""
    (output,) = capture(function, X).graph_module.graph.find_nodes(op="output")
    (result,) = output.all_input_nodes
    return constant(result.all_input_nodes[-1])


KNOWN = {
    "causal mask": lambda: ~torch.ones(3, 3).tril().bool(),
    "positions": lambda: torch.arange(3).float() / 2 + 1,
    "table": lambda: torch.tensor([12.9, 78.2, 1.0]),
    "compared": lambda: torch.arange(3)[None, :] > torch.arange(3)[:, None],
    "with a device": lambda: torch.full((3, 3), 2.0, device="cpu").triu(1),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_no_input_changes_is_known(name):
    found = known(lambda x: x + KNOWN[name]())
    assert torch.equal(found, KNOWN[name]())
    assert found.dtype is KNOWN[name]().dtype


def test_new_zeros_are_zeros():
    assert torch.equal(known(lambda x: x + x.new_zeros(3)), torch.zeros(3))


def test_what_an_input_changes_or_is_drawn_is_not():
    assert known(lambda x: x + (x + torch.ones(3))) is None
    assert known(lambda x: x + torch.rand(3)) is None


def test_what_is_large_is_not(monkeypatch):
    monkeypatch.setattr(constants, "LARGEST", 8)
    assert known(lambda x: x + torch.ones(3, 3)) is None
