import torch
from torch import nn

from tessera.backend.memory.sides import Sides
from tests.backend.memory.steps import Residual, step_program

aten = torch.ops.aten
BATCH = torch.rand(64, 32), torch.rand(64, 32)


def nodes(made, target):
    return list(made.graph.find_nodes(op="call_function", target=target))


def test_the_forward_is_on_one_side_and_gradients_and_updates_on_the_other():
    made = step_program(nn.Sequential(nn.Linear(32, 48), nn.Tanh(), nn.Linear(48, 32)), BATCH)
    sides = Sides(made.graph)
    for node in nodes(made, aten.copy_.default):
        assert sides.is_gradient(node)
    (tanh,) = nodes(made, aten.tanh.default)
    assert not sides.is_gradient(tanh)
    assert tanh in sides.kept
    assert sides.can_be_repeated(tanh)
    assert sides.is_gradient(sides.kept[tanh])


def test_random_numbers_are_not_drawn_twice_and_what_follows_from_them_can_be_computed_twice():
    made = step_program(Residual(1, dropout=0.5), BATCH)
    sides = Sides(made.graph)
    random = nodes(made, aten.native_dropout.default)
    assert random
    assert not any(sides.can_be_repeated(node) for node in random)
    assert any(sides.can_be_repeated(node) for node in sides.kept)


def test_what_is_made_of_updated_parameters_alone_is_not_tied():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(32, 32))

        def forward(self, x):
            return torch.tanh(x @ torch.tanh(self.weight))

    made = step_program(Scaled(), BATCH)
    sides = Sides(made.graph)
    of_weight, of_all = nodes(made, aten.tanh.default)
    assert not sides.is_tied(of_weight)
    assert not sides.can_be_repeated(of_weight)
    assert sides.can_be_repeated(of_all)


def test_computing_again_begins_at_what_is_kept():
    made = step_program(Residual(2), BATCH)
    sides = Sides(made.graph)
    last = list(sides.kept)[-1]
    for node in sides.kept:
        computed, sources = sides.repeated(node, {node})
        assert node in computed
        assert computed.isdisjoint(sides.kept.keys() - {node})
        assert computed.isdisjoint(sources)
    everything, _ = sides.repeated(last, set(sides.kept))
    assert len(everything) > len(sides.repeated(last, {last})[0])
