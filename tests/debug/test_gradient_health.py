from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import tessera
from tessera.debug.gradient_health import judged, row_of


def parameter(gradient, weight=1.0):
    p = nn.Parameter(torch.full((4,), weight))
    p.grad = None if gradient is None else torch.as_tensor(gradient, dtype=torch.float32).expand(4).clone()
    return p


@pytest.mark.parametrize(
    ("gradient", "verdict"),
    [
        (0.1, ""),
        (math.nan, "not finite"),
        (None, "dead"),
        (0.0, "dead"),
        (1e-9, "vanishing"),
        (1e5, "exploding"),
    ],
    ids=str,
)
def test_verdicts(gradient, verdict):
    rows = [row_of("other", parameter(0.1)), row_of("another", parameter(0.2)), row_of("w", parameter(gradient))]
    table = judged(rows)
    assert next(row for row in table.rows if row.name == "w").verdict == verdict
    assert [row.name for row in table.unhealthy] == (["w"] if verdict else [])


def test_the_worst_stands_first():
    found = judged([row_of("a", parameter(0.1)), row_of("b", parameter(math.inf)), row_of("c", parameter(0.0))])
    assert [row.name for row in found.rows] == ["b", "c", "a"]
    head, first, *_ = str(found).splitlines()
    assert head.split("  ")[0] == "layer"
    assert first.split()[:3] == ["b", "not", "finite"]


def test_a_saturated_network_has_vanishing_layers():
    torch.manual_seed(0)
    net = nn.Sequential(*[layer for _ in range(8) for layer in (nn.Linear(8, 8), nn.Sigmoid())])
    for layer in net[::2]:
        nn.init.normal_(layer.weight, std=0.1)
    with tessera.debug_mode() as debug:
        net(torch.randn(4, 8)).square().sum().backward()
        table = debug.gradients(net)
    assert {row.name for row in table.rows if row.verdict == "vanishing"} >= {"0.weight", "0.bias"}
    assert not next(row for row in table.rows if row.name == "14.weight").verdict


def test_the_update_beside_the_weights_of_an_optimizer_and_of_a_step():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3))
    net[0].weight.data.fill_(1.0)
    net[0].bias.data.fill_(1.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with tessera.debug_mode() as debug:
        net(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        table = debug.gradients()
    found = {row.name: row for row in table.rows}
    assert found["0.bias"].ratio == pytest.approx(0.5)
    assert found["0.bias"].verdict == "updated too far"
    step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=0.0))
    with tessera.debug_mode() as debug:
        step(torch.ones(1, 3), torch.zeros(1, 3))
    assert {row.ratio for row in debug.gradients().rows} == {0.0}
    assert all(row.norm > 0 for row in debug.gradients().rows)
