from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from tessera.check.budget import Budget
from tessera.check.remade import Remade, arguments_of, how_made, remade


@dataclass
class Config:
    dim: int = 6


class Net(nn.Module):
    def __init__(self, size: int, config: Config, depth: int = 2) -> None:
        super().__init__()
        self.depth = depth
        self.layers = nn.ModuleList(nn.Linear(size, size) for _ in range(depth))
        self.out = nn.Linear(size, config.dim)


def test_arguments_are_told_by_what_is_kept_by_defaults_and_by_sizes():
    given = arguments_of(Net(8, Config(), depth=3), [5, 8], Budget())
    assert given == {"size": 8, "config": Config(), "depth": 3}


def test_what_cannot_be_told_is_not_guessed():
    assert arguments_of(Net(8, Config(dim=11)), [5, 8], Budget()) is None
    assert arguments_of(Net(8, Config()), [5, 7], Budget()) is None


def test_how_it_was_made_names_lines_and_local_names():
    made = how_made(Net(8, Config()), [8], Budget())
    assert made is not None
    start = Net.__init__.__code__.co_firstlineno
    assert {path: line - start for path, (_, line, _) in made.lines.items() if path != "layers"} == {
        "layers.0": 3,
        "layers.1": 3,
        "out": 4,
    }
    assert made.names[__file__, start, "Net.__init__"]["size"] == 8


def test_a_constructor_that_calls_torch_without_end_makes_none():
    made = how_made(Net(8, Config()), [8], Budget())
    assert made.again(Net).depth == 2
    assert Remade({**made.given, "depth": 100_000}, {}, {}, made.calls).again(Net) is None


def test_what_is_remade_holds_no_memory_and_a_constructor_that_raises_makes_none():
    made = remade(nn.Linear, {"in_features": 3, "out_features": 4})
    assert made.weight.shape == (4, 3)
    assert type(made.weight.data) is not torch.Tensor
    assert remade(nn.Linear, {"in_features": "text", "out_features": 4}) is None


class Graded(nn.Module):
    def __init__(self, depth: int = 3) -> None:
        super().__init__()
        rates = [rate.item() for rate in torch.linspace(0, 0.5, depth)]
        self.parts = nn.ModuleList(nn.Dropout(rate) for rate in rates)


def test_a_constructor_that_reads_its_tensors_is_run_with_others():
    assert how_made(Net(8, Config()), [8], Budget()).again(Net).out.weight.is_meta
    made = how_made(Graded(), [], Budget())
    assert [part.p for part in made.again(Graded).parts] == [0, 0.25, 0.5]


class Filled(nn.Module):
    def __init__(self, rank: int = 2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty([3] * rank))
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.weight)


def test_what_fills_a_tensor_is_passed_over_and_refuses_what_it_refuses():
    assert remade(Filled, {}).weight.shape == (3, 3)
    assert remade(Filled, {"rank": 1}) is None  # there is no fan-out
