from __future__ import annotations

import torch
from torch import nn

from tessera.debug.layers import path_of


def test_a_layer_is_named_by_its_path():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    assert path_of(model, model) == ""
    assert path_of(model, model[1][0]) == "1.0"


def test_a_stranger_has_the_name_of_its_class():
    assert path_of(nn.Sequential(), nn.Tanh()) == "(Tanh)"


def test_a_layer_that_was_replaced_is_found_anew():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert path_of(model, model[1]) == "1"
    old, model[1] = model[1], nn.Tanh()
    model.append(old)
    assert path_of(model, old) == "2"
    assert path_of(model, model[1]) == "1"
    assert isinstance(model(torch.ones(1, 2)), torch.Tensor)
