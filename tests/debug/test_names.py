from __future__ import annotations

import torch
from torch import nn

import tessera
from tessera.debug.names import name_of


def test_a_variable_a_parameter_and_what_a_line_assigns():
    net = nn.Sequential(nn.Linear(2, 2))
    with tessera.debug_mode() as debug:
        hidden = net(torch.ones(1, 2))
        assert name_of(hidden, debug) == "hidden"
        assert name_of(net[0].weight, debug) == "0.weight"
        assert name_of(net[0].weight.detach(), debug) == "0.weight"
        assert name_of(torch.ones(1), debug) == ""
    assert name_of(hidden, None, {"y": hidden}) == "y"
