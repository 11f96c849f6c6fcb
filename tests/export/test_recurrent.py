from __future__ import annotations

import pytest
import torch
from torch import nn

from tessera import torch_internals
from tessera.export.asked import read_example
from tessera.export.recurrent import RecurrentAsScan
from tessera.export.traced import operators, traced

LAYERS = {
    "lstm of two layers, both ways": nn.LSTM(5, 7, 2, batch_first=True, bidirectional=True, dropout=0.3),
    "lstm with a projection": nn.LSTM(5, 7, proj_size=3),
    "gru": nn.GRU(5, 7, bidirectional=True),
    "rnn without biases": nn.RNN(5, 7, 2, bias=False, nonlinearity="relu", batch_first=True),
    "rnn": nn.RNN(5, 7),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", LAYERS)
def test_any_length_of_time_gives_what_torch_gives(name):
    layer = LAYERS[name].eval()
    time = 1 if layer.batch_first else 0
    flat, example = read_example(layer, torch.randn(3, 6, 5), {"input": {time: "T", 1 - time: "B"}})
    program = traced(flat, example)
    assert operators(program)["scan"] == layer.num_layers * (2 if layer.bidirectional else 1)
    for sizes in ({}, {"T": 9, "B": 4}, {"T": 2, "B": 5}):
        case = example.fresh({**example.sizes, **sizes}, seed=1)
        for ours, torchs in zip(program.module()(*case.tensors), case.call(flat), strict=True):
            torch.testing.assert_close(ours, torchs.detach())


def test_a_loop_over_all_rows_carries_a_fixed_size():
    layer = nn.LSTM(5, 7, 2, bidirectional=True).eval()
    flat, example = read_example(layer, torch.randn(6, 3, 5), {"input": {0: "T", 1: torch.export.Dim("B", max=9)}})
    program = traced(flat, example, all_rows=True)
    loop = next(node for node in program.graph.nodes if node.target is torch_internals.scan_operator())
    assert [tuple(carried.meta["val"].shape) for carried in loop.args[1]] == [(9, 7), (9, 7)]
    for sizes in ({}, {"B": 9}, {"T": 2, "B": 4}):
        case = example.fresh({**example.sizes, **sizes}, seed=1)
        for ours, torchs in zip(program.module()(*case.tensors), case.call(flat), strict=True):
            torch.testing.assert_close(ours, torchs.detach())


def test_a_time_that_is_fixed_is_left_to_torch():
    flat, example = read_example(nn.GRU(5, 7), torch.randn(3, 2, 5), {"input": {1: "B"}})
    assert "scan" not in operators(traced(flat, example))


def test_packed_sequences_are_left_to_torch():
    layer = nn.LSTM(5, 7)
    packed = nn.utils.rnn.pack_sequence([torch.randn(4, 5), torch.randn(2, 5)])
    with RecurrentAsScan():
        found = layer(packed)
    torch.testing.assert_close(found[0].data, layer(packed)[0].data)
