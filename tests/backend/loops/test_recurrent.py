import itertools

import pytest
import torch
from torch import nn

from tessera.backend.loops import recurrent
from tests.backend.loops.loops import draw
from tests.backend.loops.test_loop import gradients

pytestmark = pytest.mark.usefixtures("eager_turns")
KINDS = {
    "LSTM": (nn.LSTM, recurrent.lstm, {}),
    "projected": (nn.LSTM, recurrent.lstm, {"proj_size": 3}),
    "GRU": (nn.GRU, recurrent.gru, {}),
    "tanh": (nn.RNN, recurrent.rnn_tanh, {}),
    "relu": (nn.RNN, recurrent.rnn_relu, {"nonlinearity": "relu"}),
}
SHAPES = list(itertools.product((1, 2), (False, True), (False, True), (False, True)))


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layers", "bias", "both", "first"), SHAPES[::3], ids=[str(i) for i in range(len(SHAPES[::3]))]
)
def test_a_layer_is_torchs(kind, layers, bias, both, first):
    make, ours, named = KINDS[kind]
    torch.manual_seed(0)
    layer = make(5, 4, layers, bias=bias, bidirectional=both, batch_first=first, dtype=torch.float64, **named)
    x = draw(3, 6, 5).requires_grad_()
    batch, each = (3 if first else 6), layers * (2 if both else 1)
    sizes = [named.get("proj_size", 4), 4] if make is nn.LSTM else [4]
    states = [draw(each, batch, size, seed=i).requires_grad_() for i, size in enumerate(sizes)]
    output, last = layer(x, tuple(states) if len(states) > 1 else states[0])
    expected = [output, *(last if len(states) > 1 else [last])]
    given = states if len(states) > 1 else states[0]
    found = ours(x, given, list(layer.parameters()), bias, layers, 0.0, True, both, first)
    torch.testing.assert_close(list(found), expected, rtol=0, atol=1e-13)
    operands = [x, *states, *layer.parameters()]
    torch.testing.assert_close(gradients(found, operands), gradients(expected, operands), rtol=0, atol=1e-11)


def test_dropout_between_layers_draws_what_torch_draws():
    torch.manual_seed(0)
    layer = nn.LSTM(5, 4, 3, dropout=0.5, bidirectional=True, dtype=torch.float64)
    x, states = draw(6, 3, 5), [torch.zeros(6, 3, 4, dtype=torch.float64)] * 2
    torch.manual_seed(1)
    expected = layer(x)[0]
    torch.manual_seed(1)
    for train in (True, False):
        found = recurrent.lstm(x, states, list(layer.parameters()), True, 3, 0.5, train, True, False)[0]
        torch.testing.assert_close(found, expected if train else layer.eval()(x)[0], rtol=0, atol=1e-13)
