from __future__ import annotations

import torch
from torch import nn

import tessera


def places(function):
    with tessera.debug_mode(nan="ignore", inf="ignore") as debug:
        function()
    return [operation.place for operation in debug.trace]


def test_the_part_of_the_line_and_what_it_is_assigned_to():
    x = torch.ones(3)

    def f():
        h = torch.relu(x)
        h += torch.exp(h) * 2
        return h

    relu, exp, mul, add = places(f)
    assert (relu.expression, relu.name) == ("torch.relu(x)", "h")
    assert relu.where.code == "h = torch.relu(x)"
    assert relu.function.endswith("f")
    assert (exp.expression, exp.name) == ("torch.exp(h)", "")
    assert mul.expression == "torch.exp(h) * 2"
    assert (add.expression, add.name) == ("h += torch.exp(h) * 2", "h")


def test_an_expression_over_several_lines():
    x = torch.ones(3)
    (place,) = places(
        lambda: torch.add(
            x,
            1,
        )
    )
    assert place.expression == "torch.add( x, 1, )"


def test_the_innermost_layer_and_the_model():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x * 2

    net, x = Net(), torch.ones(1, 2)
    found = [(place.layer, place.model, place.expression) for place in places(lambda: net(x))]
    assert ("blocks.0", "Net", "block(x)") in found
    assert ("blocks.1", "Net", "block(x)") in found
    assert found[-1] == ("", "Net", "x * 2")


def test_what_prints_a_tensor_is_no_part_of_the_program():
    x = torch.tensor([1.0, float("inf")])
    assert places(lambda: str(x)) == []


def test_the_update_is_known_by_its_optimizer():
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    with tessera.debug_mode() as debug:
        optimizer.step()
    assert {operation.phase for operation in debug.trace} == {"update"}
    assert {operation.place.expression for operation in debug.trace} == {"optimizer.step()"}
