from __future__ import annotations

import sys
from contextlib import suppress

import torch
from torch import nn

from tessera.check.visited import place_of_code, visited

HOURS = 24


class Block(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(size, size)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for size in (3, 4):
            self.blocks.append(Block(size))


def half(number: int) -> int:
    smaller = number // 2
    return smaller - 0


def test_functions_are_noted_with_what_their_names_stood_for():
    with visited() as seen:
        half(10)
        torch.zeros(2).sum()
    assert seen.names[place_of_code(half.__code__)] == {"number": 10, "smaller": 5, "HOURS": 24}
    assert {file for file, _, _ in seen.names} == {__file__}


def test_a_function_that_raises_is_noted_as_well():
    def fails(number: int) -> None:
        seven = number + 7
        raise ValueError(seven)

    with visited() as seen, suppress(ValueError):
        fails(1)
    assert seen.names[place_of_code(fails.__code__)] == {"number": 1, "seven": 8, "HOURS": 24}


def test_the_line_that_made_each_part_is_that_of_the_loop():
    with visited() as seen:
        net = Net()
    lines = {path: line for path, (_, line, _) in seen.made_by(net).items()}
    appended = Net.__init__.__code__.co_firstlineno + 4
    assert lines["blocks.0"] == lines["blocks.1"] == appended
    assert lines["blocks.0.inner"] == lines["blocks.1.inner"] == Block.__init__.__code__.co_firstlineno + 2


def test_the_profiler_that_ran_before_runs_again():
    def mine(*_: object) -> None: ...

    before = sys.getprofile()
    sys.setprofile(mine)
    try:
        with visited():
            half(2)
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(before)
