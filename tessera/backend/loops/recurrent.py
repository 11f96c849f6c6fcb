"""LSTM, GRU and RNN as loops: ``torch.lstm`` and its like, with one loop for each layer and direction.

The products with the inputs need no loop: one product computes them for all time steps before it begins. What is left
for a turn is the product with the state and the cell's formula.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tessera.backend.loops.loop import run_loop


def lstm_turn(h: Tensor, c: Tensor, gates: Tensor, weight: Tensor, projection: Tensor | None = None) -> list[Tensor]:
    """One step of an LSTM (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000).

    ``h [batch, outputs]``, ``c [batch, hidden]``, ``gates [batch, 4 * hidden]`` of the input, in torch's order:
    input, forget, candidate, output. The state is made smaller by ``projection [outputs, hidden]`` (Sak et al., 2014).
    """
    i, f, g, o = (gates + h @ weight.t()).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    h = h if projection is None else h @ projection.t()
    return [h, c, h]


def gru_turn(h: Tensor, gates: Tensor, weight: Tensor, bias: Tensor | None = None) -> list[Tensor]:
    """One step of a GRU (Cho et al., 2014), in torch's form: the reset gate is applied behind the product.

    ``h [batch, hidden]``, ``gates [batch, 3 * hidden]`` of the input: reset, update, candidate.
    """
    r, z, n = gates.chunk(3, 1)
    of_r, of_z, of_n = F.linear(h, weight, bias).chunk(3, 1)
    r, z = (r + of_r).sigmoid(), (z + of_z).sigmoid()
    n = (n + r * of_n).tanh()
    h = (h - n) * z + n
    return [h, h]


def rnn_turn(activation: Callable[[Tensor], Tensor], h: Tensor, inputs: Tensor, weight: Tensor) -> list[Tensor]:
    """One step of a plain recurrent layer (Elman, 1990)."""
    h = activation(inputs + h @ weight.t())
    return [h, h]


def lstm(x: Tensor, states: Sequence[Tensor], *options: Any) -> tuple[Tensor, ...]:
    """``torch.lstm`` of sequences of one length: output, last hidden state, last cell state."""
    return _layers(_lstm, x, states, *options)


def gru(x: Tensor, state: Tensor, *options: Any) -> tuple[Tensor, ...]:
    """``torch.gru`` of sequences of one length: output, last state."""
    return _layers(_gru, x, [state], *options)


def rnn_tanh(x: Tensor, state: Tensor, *options: Any) -> tuple[Tensor, ...]:
    """``torch.rnn_tanh`` of sequences of one length: output, last state."""
    return _layers(functools.partial(_rnn, torch.tanh), x, [state], *options)


def rnn_relu(x: Tensor, state: Tensor, *options: Any) -> tuple[Tensor, ...]:
    """``torch.rnn_relu`` of sequences of one length: output, last state."""
    return _layers(functools.partial(_rnn, torch.relu), x, [state], *options)


Layer = Callable[[Tensor, list[Tensor], Sequence[Tensor], Sequence[Tensor], bool], tuple[list[Tensor], list[Tensor]]]


def _layers(
    layer: Layer,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """Output, then the last states ``[layers * directions, batch, ...]``; the arguments of torch's function."""
    x = x.transpose(0, 1) if batch_first else x
    directions = 2 if bidirectional else 1
    each = len(weights) // (num_layers * directions)
    last: list[list[Tensor]] = []
    for level in range(num_layers):
        if level and train and dropout:
            x = torch.dropout(x, dropout, train)
        outputs = []
        for reverse in (False, True)[:directions]:
            own = weights[len(last) * each :][:each]
            matrices, biases = ([*own[:2], *own[4:]], own[2:4]) if has_biases else (own, ())
            carries, (y,) = layer(x, [state[len(last)] for state in states], matrices, biases, reverse)
            outputs.append(y)
            last.append(carries)
        x = torch.cat(outputs, -1) if bidirectional else outputs[0]
    return x.transpose(0, 1) if batch_first else x, *map(torch.stack, zip(*last, strict=True))


def _lstm(
    x: Tensor, states: list[Tensor], matrices: Sequence[Tensor], biases: Sequence[Tensor], reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    of_input, *of_state = matrices
    gates = F.linear(x, of_input, biases[0] + biases[1] if biases else None)
    return run_loop(lstm_turn, states, [gates], of_state, reverse=reverse)


def _gru(
    x: Tensor, states: list[Tensor], matrices: Sequence[Tensor], biases: Sequence[Tensor], reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    of_input, of_state = matrices
    gates = F.linear(x, of_input, *biases[:1])
    return run_loop(gru_turn, states, [gates], [of_state, *biases[1:]], reverse=reverse)


def _rnn(
    activation: Callable[[Tensor], Tensor],
    x: Tensor,
    states: list[Tensor],
    matrices: Sequence[Tensor],
    biases: Sequence[Tensor],
    reverse: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    of_input, of_state = matrices
    inputs = F.linear(x, of_input, biases[0] + biases[1] if biases else None)
    return run_loop(functools.partial(rnn_turn, activation), states, [inputs], [of_state], reverse=reverse)
