from __future__ import annotations

import ast
import inspect
import sys
import textwrap

import torch
from torch import nn

from tessera.check.edited_code import Copies, compiled

here = sys.modules[__name__]


def twice(x: int) -> int:
    return x + x


def four_times(x: int) -> int:
    return twice(twice(x))


class Base(nn.Module):
    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.inner = nn.Linear(size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scaled(self.inner(x))

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return x * twice(1)

    @property
    def size(self) -> int:
        return twice(self.inner.in_features)


class Net(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 1


def edited(name: str, old: str, new: str) -> Copies:
    """Copies that run the text of one function or class of this file with ``new`` in place of ``old``."""
    lines, first = inspect.getsourcelines(getattr(here, name))
    text = textwrap.dedent("".join(lines)).replace(old, new)
    (statement,) = ast.increment_lineno(ast.parse(text), first - 1).body
    return Copies(compiled(statement, __file__, 0))


def test_what_calls_the_edited_function_is_copied_and_nothing_else_changes():
    copies = edited("twice", "x + x", "x * 10")
    assert copies.of(here.four_times)(1) == 100
    assert here.four_times(1) == 4
    assert copies.of(len) is len


def test_a_module_gets_the_edited_methods_and_shares_its_tensors():
    net = here.Net()
    other = edited("Net", "+ 1", "+ 5").module(net)
    x = torch.ones(2, 3)
    assert torch.equal(other(x), net(x) + 4)
    assert other.inner.weight is net.inner.weight
    assert type(net) is here.Net
    assert isinstance(other, here.Net)


def test_a_function_that_a_method_of_the_base_calls_is_edited_too():
    net = here.Net()
    other = edited("twice", "x + x", "x * 10").module(net)
    assert (net.size, other.size) == (6, 30)
    assert torch.allclose(other.scaled(torch.ones(1)), torch.full((1,), 10.0))


def test_an_edited_constructor_makes_other_layers():
    kind = edited("Base", "nn.Linear(size, size)", "nn.Linear(size, 2 * size)").of(here.Net)
    assert kind(4).inner.out_features == 8
    assert here.Net(4).inner.out_features == 4


def test_a_class_that_hears_of_its_subclasses_is_left_alone():
    heard = []

    class Loud(nn.Module):
        def __init_subclass__(cls) -> None:
            heard.append(cls)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    copies = edited("twice", "x + x", "x * 10")
    assert type(copies.module(Loud())) is Loud
    assert heard == []
