from __future__ import annotations

import ast
import inspect

import torch
from torch import nn

from tessera.check.written import argument, is_computed, is_of_use_here_alone, numbers_around, size_of_parameter
from tessera.users_code import source_line_at


class Net(nn.Module):
    def __init__(self, dim: int = 4, heads: int = 2, rows: int = 5) -> None:
        super().__init__()
        inner = dim * heads
        self.plain = nn.Linear(8, dim)
        self.computed = nn.Linear(in_features=dim + heads, out_features=3)
        self.named = nn.Sequential(nn.Linear(inner, 4), nn.ReLU(), nn.Linear(4, 2 * dim))
        self.image = nn.Linear(3 * 4 * 4, 3)
        self.rnn = nn.GRU(dim, heads)
        self.table = nn.Parameter(torch.zeros(1, dim + 1, dim))
        self.start = nn.Parameter(torch.zeros(rows, dim))


def line(code: str):
    lines, first = inspect.getsourcelines(Net)
    return source_line_at(__file__, first + next(at for at, text in enumerate(lines) if code in text))


def text(code: str, kind, name: str, column: int | None = None) -> str | None:
    found = argument(line(code), kind, name, column)
    return None if found is None else ast.unparse(found)


def test_what_is_written_for_a_size():
    assert text("self.plain", nn.Linear, "in_features") == "8"
    assert text("self.plain", nn.Linear, "bias") is None
    assert text("self.computed", nn.Linear, "in_features") == "dim + heads"
    assert text("self.rnn", nn.GRU, "hidden_size") == "heads"
    assert text("self.rnn", nn.Linear, "in_features") is None


def test_of_two_in_a_line_the_column_tells_which():
    column = inspect.getsource(Net).splitlines()[6].index("nn.Linear(4")
    assert text("self.named", nn.Linear, "out_features", column) == "2 * dim"
    assert text("self.named", nn.Linear, "out_features") == "4"


def test_arithmetic_and_names_for_it_are_computed_and_arguments_are_not():
    for code, kind, name, computed in (
        ("self.plain", nn.Linear, "out_features", False),
        ("self.plain", nn.Linear, "in_features", False),
        ("self.computed", nn.Linear, "in_features", True),
        ("self.named", nn.Linear, "in_features", True),
        ("self.image", nn.Linear, "in_features", False),
    ):
        where = line(code)
        assert is_computed(argument(where, kind, name), where) is computed, (code, name)


def test_sizes_of_parameters():
    where = line("self.table")
    assert [is_computed(size_of_parameter(where, 3, axis), where) for axis in range(3)] == [False, True, False]
    assert size_of_parameter(where, 2, 0) is None


def test_the_numbers_of_a_class():
    numbers = numbers_around(line("self.image"))
    assert (numbers[3], numbers[8], numbers[512]) == (3, 1, 0)


def test_an_argument_that_is_there_for_one_size_alone():
    where = line("self.start")
    assert [is_of_use_here_alone(size_of_parameter(where, 2, axis), where) for axis in (0, 1)] == [True, False]
    assert not is_of_use_here_alone(ast.Constant(3), where)
