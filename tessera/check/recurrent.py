"""A recurrent layer runs one step in place of all: no shape comes of its loop over time, and that may be long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

_NAMES = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def shortened(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[..., Any]:
    """What gives the same shapes as ``function``; that itself where it is no loop over one tensor's time.

    Args:
        function: of torch.
        args, kwargs: what it is called with: input, states, weights, has_biases, layers, dropout, train,
            bidirectional, batch_first.
    """
    if getattr(function, "__name__", "") not in _NAMES or kwargs or len(args) != 9:
        return function
    (x, states, weights), time = args[:3], int(bool(args[8]))
    packed = not isinstance(weights, (list, tuple)) or (function.__name__ == "lstm" and torch.is_tensor(states))
    if packed or not isinstance(x, torch.Tensor) or x.dim() != 3 or _is_short(x.shape[time]):
        return function

    def one_step(x: torch.Tensor, *rest: Any) -> Any:
        output, *after = function(x.narrow(time, 0, 1), *rest)
        output = output.transpose(0, time)
        whole = output.expand(x.shape[time], -1, -1).contiguous().transpose(0, time)  # laid out as torch does
        return (whole, *after)

    return one_step


def _is_short(length: Any) -> bool:
    return type(length) is int and length <= 1
