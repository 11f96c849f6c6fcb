from __future__ import annotations

import torch

from tessera.check.history import History
from tessera.check.world import World
from tessera.shapes.size import read_size


def traced(body):
    world = World({"B": 97, "S": 131})
    history = History(world)
    with world.mode:
        x = torch.empty(world.size(read_size("B")), world.size(read_size("S")), 512)
        with history:
            result = body(x)
    return world, history, result


def test_a_lost_size_is_blamed_on_the_call_that_lost_it():
    linear = torch.nn.Linear(512, 256)

    def body(x):
        h = linear(x)
        h = h.relu() + 1
        return h.neg()

    _, history, result = traced(body)
    assert history.born(result, -1, 512).name == "linear"


def test_a_moved_size_is_blamed_on_the_call_that_moved_it():
    world, history, result = traced(lambda x: (x * 2).transpose(0, 1).relu())
    assert history.born(result, -3, world.symbols["B"]).name == "transpose"


def test_a_size_that_never_was_is_blamed_where_the_one_there_was_born():
    _, history, result = traced(lambda x: torch.cat([x, x], -1).relu())
    assert history.born(result, -1, 300).name == "cat"


def test_arguments_are_not_born_anywhere():
    _, history, result = traced(lambda x: x.relu().neg())
    assert history.born(result, -1, 300) is None


def test_a_rank_is_blamed_on_the_last_call_that_changed_it():
    _, history, result = traced(lambda x: x.mean(1).relu().neg())
    assert history.rank_born(result).name == "mean"


def test_who_lays_two_tensors_out_against_each_other():
    _, history, _ = traced(lambda x: (x[:, 0, 0].unsqueeze(1) - x[:, 0, 0]) * 2)
    assert [call.name for call in history.calls if history.spreads(call)] == ["sub"]
    _, history, _ = traced(lambda x: x[:, 0, :1] - x[:, 0, :1].transpose(0, 1))
    assert not any(map(history.spreads, history.calls))


def test_lineage():
    world, history, result = traced(lambda x: x.relu().neg())
    assert history.position(history.made_by(result)) == 1
    assert not history.comes_of([result], torch.ones(2))
    assert len(history) == 2
    assert history.made_by(torch.ones(3)) is None
    del world


def test_a_squeeze_that_drops_a_declared_size_where_it_is_one_is_noted():
    _, history, _ = traced(lambda x: x[:, :, :1].squeeze())
    assert history.squeezed[0][1] == ["B", "S"]
