from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

import tessera
from tessera import Tensor
from tessera.check.recurrent import shortened


class OneStep(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return shortened(func, args, kwargs or {})(*args, **(kwargs or {}))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_one_step_has_the_shapes_of_all_and_is_laid_out_so(kind, both_ways, batch_first):
    layer = kind(3, 4, num_layers=2, batch_first=batch_first, bidirectional=both_ways)
    x = torch.randn(5, 7, 3, requires_grad=True)
    output, states = layer(x)
    with OneStep():
        short, short_states = layer(x)
    states, short_states = (one if isinstance(one, tuple) else (one,) for one in (states, short_states))
    assert short.shape == output.shape
    assert short.is_contiguous() == output.is_contiguous()
    assert [state.shape for state in short_states] == [state.shape for state in states]
    assert torch.autograd.grad(short.sum(), x)[0].shape == x.shape
    time = 1 if batch_first else 0
    assert torch.equal(short.select(time, 0), short.select(time, -1)), "only one step was run"


def test_what_is_packed_and_all_else_is_left_alone():
    layer = nn.GRU(3, 4)
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(5, 2, 3), torch.tensor([5, 3]))
    expected = layer(packed)[0].data
    with OneStep():
        assert torch.equal(layer(packed)[0].data, expected)
    assert shortened(torch.add, (1, 2), {}) is torch.add


def test_a_layer_over_a_declared_length_is_checked_for_every_length_and_quickly():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(8, 16, num_layers=2, batch_first=True)

        def forward(self, x: Tensor["B", "T", 8]) -> Tensor["B", "T", 16]:
            return self.rnn(x)[0]

    report = tessera.check(Net())
    assert report.ok
    assert not report.notes
