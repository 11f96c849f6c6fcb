from __future__ import annotations

import pytest
import torch
from torch.nn import BatchNorm1d, Dropout, Linear, Sequential

from tessera.nn.summary import summarize


def test_the_table():
    model = Sequential(Linear(4, 300), torch.nn.ReLU(), Linear(300, 2))
    model[0].requires_grad_(False)
    assert summarize(model, torch.randn(8, 4)).splitlines() == [
        "layer    type        output    parameters  trainable",
        "----------------------------------------------------",
        "(model)  Sequential  [8, 2]             0          0",
        "0        Linear      [8, 300]       1,500          0",
        "1        ReLU        [8, 300]           0          0",
        "2        Linear      [8, 2]           602        602",
        "----------------------------------------------------",
        "total                               2,102        602",
    ]


def test_without_an_example_there_are_no_shapes():
    assert summarize(Linear(4, 300)).splitlines() == [
        "layer    type    parameters  trainable",
        "--------------------------------------",
        "(model)  Linear       1,500      1,500",
        "--------------------------------------",
        "total                 1,500      1,500",
    ]


def test_a_tied_weight_counts_once():
    tied = Sequential(torch.nn.Embedding(10, 4), Linear(4, 10, bias=False))
    tied[1].weight = tied[0].weight
    assert summarize(tied).splitlines()[-1].split() == ["total", "40", "40"]


class Several(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.unused, self.used = Linear(1, 1), torch.nn.LSTM(3, 2)

    def forward(self, x, *, scale):
        out, state = self.used(x)
        return {"out": out * scale}, state


def test_inputs_by_name_outputs_of_any_kind_and_layers_not_called():
    table = summarize(Several(), {"x": torch.randn(5, 1, 3), "scale": 2.0}).splitlines()
    assert table[2].split()[2:-2] == ["dict,", "[1,", "1,", "2],", "[1,", "1,", "2]"]
    assert table[3].split() == ["unused", "Linear", "2", "2"]


def test_a_tuple_is_several_inputs():
    assert "[2, 1]" in summarize(torch.nn.Bilinear(3, 4, 1), (torch.randn(2, 3), torch.randn(2, 4)))


def test_the_model_and_the_random_numbers_stay_as_they_are():
    model = Sequential(Linear(4, 4), BatchNorm1d(4), Dropout(0.5))
    model[2].eval()
    state, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    summarize(model, torch.randn(8, 4, generator=torch.Generator().manual_seed(1)))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert [part.training for part in model.modules()] == [True, True, True, False]
    assert not any(part._forward_hooks for part in model.modules())


def test_a_failing_forward_leaves_no_trace():
    model = Sequential(Linear(4, 4))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        summarize(model, torch.randn(8, 5))
    assert model.training
    assert not any(part._forward_hooks for part in model.modules())


def test_lazy_layers_have_no_parameters_yet():
    assert summarize(torch.nn.LazyLinear(4)).splitlines()[-1].split() == ["total", "0", "0"]
