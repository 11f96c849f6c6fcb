"""Recurrent layers over a time whose length may change: one loop in the graph, instead of a turn for every moment.

Torch traces LSTM, GRU and RNN by writing out every turn, which fixes the length of the time. Where it is a symbol they
are a scan here: the products with the inputs for all moments at once, then

    h, c = turn(h, c, products[t])   for t = 0, 1, ...

which ONNX has as Scan, and Inductor compiles as a loop. ExecuTorch plans what goes from turn to turn for the largest
batch and never resizes it: there the loop is over as many rows as there can be, the last one repeated, and the answers
of those that exist are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tessera import torch_internals

Turn = Callable[[tuple[Tensor, ...], Tensor, Tensor, Tensor | None], tuple[Tensor, ...]]


class RecurrentAsScan(TorchFunctionMode):
    """Within, recurrent layers whose time is a symbol are a scan.

    Args:
        all_rows: whether it is over as many rows as the batch can have at most, where that is known.
    """

    def __init__(self, *, all_rows: bool = False) -> None:
        super().__init__()
        self.all_rows = all_rows

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        turn = _TURNS.get(getattr(func, "__name__", ""))
        if turn is None or kwargs or not _over_a_symbol(args):
            return func(*args, **(kwargs or {}))
        most = _most_rows(args[0].shape[0 if args[8] else 1]) if self.all_rows else None
        if most is None:
            return _run(turn, *args)
        return _over_all_rows(turn, most, *args)


def _most_rows(batch: int | torch.SymInt) -> int | None:
    """The largest size of a batch that changes; None where it does not, or may have any."""
    return torch_internals.largest_size(batch) if isinstance(batch, torch.SymInt) else None


def _over_all_rows(turn: Turn, most: int, x: Tensor, states: Tensor | Sequence[Tensor], *rest: Any) -> Any:
    """``_run`` with ``most`` rows, and of its answers those of ``x``; taken by index, which fixes no size."""
    axis = 0 if rest[-1] else 1
    batch = x.shape[axis]
    rows = torch.arange(batch, device=x.device)
    filled = torch.arange(most, device=x.device).clamp(max=batch - 1)
    wide = [state.index_select(1, filled) for state in ((states,) if isinstance(states, Tensor) else states)]
    answer, *lasts = _run(turn, x.index_select(axis, filled), wide, *rest)
    return answer.index_select(axis, rows), *(last.index_select(1, rows) for last in lasts)


def _over_a_symbol(args: Sequence[Any]) -> bool:
    """Whether it is a call on padded sequences (packed ones have their lengths in second place) of unknown length."""
    if len(args) != 9 or not isinstance(args[8], bool) or args[0].dim() != 3:
        return False
    return isinstance(args[0].shape[1 if args[8] else 0], torch.SymInt)


def _run(
    turn: Turn,
    x: Tensor,
    states: Tensor | Sequence[Tensor],
    weights: Sequence[Tensor],
    has_biases: bool,
    layers: int,
    dropout: float,
    training: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """All layers; shapes as of ``torch.lstm``: the answers, then the last states ``[layers x directions, B, H]``."""
    firsts = (states,) if isinstance(states, Tensor) else tuple(states)
    directions = 2 if bidirectional else 1
    per = len(weights) // (layers * directions)
    found = x.transpose(0, 1) if batch_first else x
    lasts: list[tuple[Tensor, ...]] = []
    for layer in range(layers):
        answers = []
        for direction in range(directions):
            at = layer * directions + direction
            own = weights[at * per : (at + 1) * per]
            first = tuple(state[at] for state in firsts)
            answer, last = _one(turn, found, first, own, has_biases=has_biases, reverse=direction == 1)
            answers.append(answer)
            lasts.append(last)
        found = torch.cat(answers, -1) if directions > 1 else answers[0]
        if dropout and training and layer < layers - 1:
            found = functional.dropout(found, dropout, training)
    found = found.transpose(0, 1) if batch_first else found
    return found, *(torch.stack(each) for each in zip(*lasts, strict=True))


def _one(
    turn: Turn,
    x: Tensor,
    first: tuple[Tensor, ...],
    weights: Sequence[Tensor],
    *,
    has_biases: bool,
    reverse: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One layer in one direction; ``x`` is ``[T, B, I]``."""
    of_input, of_state = weights[:2]
    input_bias, state_bias = (weights[2], weights[3]) if has_biases else (None, None)
    projection = weights[-1] if len(weights) in (3, 5) else None
    products = functional.linear(x, of_input, input_bias)
    products = products.flip(0) if reverse else products

    batch = x.shape[1]  # named in the turn, for Inductor makes the answers of all turns from the symbols that it names

    def step(carry: tuple[Tensor, ...], product: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        now = turn(carry, product, of_state, state_bias)
        if projection is not None:
            now = (functional.linear(now[0], projection), *now[1:])
        return now, now[0].clone().view(batch, -1)

    last, answers = torch_internals.captured_scan(step, first, products, reverse=False)
    return answers.flip(0) if reverse else answers, tuple(last)


def _lstm(carry: tuple[Tensor, ...], product: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    """Hochreiter and Schmidhuber (1997), with a forget gate (Gers et al., 2000)."""
    h, c = carry
    i, f, g, o = (product + functional.linear(h, weight, bias)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(carry: tuple[Tensor, ...], product: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    """Cho et al. (2014), the reset gate behind the product, as in torch."""
    (h,) = carry
    (r, z, n), (hr, hz, hn) = product.chunk(3, -1), functional.linear(h, weight, bias).chunk(3, -1)
    z = (z + hz).sigmoid()
    return ((1 - z) * (n + (r + hr).sigmoid() * hn).tanh() + z * h,)


def _tanh(carry: tuple[Tensor, ...], product: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    return ((product + functional.linear(carry[0], weight, bias)).tanh(),)


def _relu(carry: tuple[Tensor, ...], product: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    return ((product + functional.linear(carry[0], weight, bias)).relu(),)


_TURNS: dict[str, Turn] = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _tanh, "rnn_relu": _relu}
