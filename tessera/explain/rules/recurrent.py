"""LSTM, GRU, RNN and their cells: sizes of inputs and states."""

from __future__ import annotations

from typing import Any

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.values import described, shape


def recurrent(failure: Failure, operation: Operation) -> Explanation | None:
    """An input whose last dim is not ``input_size``, or a state of another shape."""
    layer, x = failure.layer, operation.values.get("input")
    own: Any = operation.function if isinstance(operation.function, torch.nn.RNNBase | torch.nn.RNNCellBase) else layer
    if not isinstance(own, torch.nn.RNNBase | torch.nn.RNNCellBase) or not isinstance(x, torch.Tensor):
        return None
    cell = isinstance(own, torch.nn.RNNCellBase)
    kind, name = type(own).__name__, failure.name(operation, "input")
    said, wanted = failure.received(operation, "input"), own.input_size
    rest = f"hidden_size={own.hidden_size}" + ("" if cell or own.num_layers == 1 else f", num_layers={own.num_layers}")
    place = f"  # for {failure.path}" if failure.path else ""
    dims = (1, 2) if cell else (2, 3)
    if x.dim() not in dims:
        why = f"{kind} takes {dims[0]} dims, or {dims[1]} with the batch, and {name} has {x.dim()}."
        fixes = [f"{name}.unsqueeze(-1)"] if x.dim() < dims[0] else [f"{name}.flatten(2)"]
        return Explanation("Shape Error", f"{name} with {dims[1]} dims", said, why, fixes)
    if x.shape[-1] != wanted:
        got = x.shape[-1]

        def fits(**edited: torch.Tensor) -> bool:
            new = edited.get("input", x)
            return new.dim() in dims and new.shape[-1] == wanted

        turned = [fix for fix in repairs(failure, operation, ("input",), fits) if "unsqueeze(0)" not in fix]
        order = [] if cell else (["batch", "length"] if own.batch_first else ["length", "batch"])
        return Explanation(
            "Shape Error",
            f"{name}: {shape([*(order or ['batch']), wanted])}, for input_size={wanted}",
            said,
            f"The last dim of {name} is {got}, and {kind} was made for {wanted} features at each position.",
            [f"nn.{kind}({got}, {rest}){place}", *turned],
        )
    state = operation.values.get("hx")
    states = [each for each in (state if isinstance(state, tuple) else [state]) if isinstance(each, torch.Tensor)]
    if not states:
        return None
    if cell:
        right: tuple[int, ...] = (*x.shape[:-1], int(own.hidden_size))
    else:
        whole: Any = own
        directions = 2 if own.bidirectional else 1
        batch = () if x.dim() == 2 else (x.shape[0 if own.batch_first else 1],)
        right = (whole.num_layers * directions, *batch, whole.proj_size or whole.hidden_size)
    wrong = next((each for each in states if tuple(each.shape) != right), None)
    if wrong is None:
        return None
    written = f"torch.zeros({', '.join(map(str, right))})"
    return Explanation(
        "Shape Error",
        f"a state {shape(right)}" + ("" if cell else ": layers times directions, batch, hidden size"),
        [*said, f"the state: {described(wrong)}"],
        f"{kind} carries a state of that shape for this input"
        + ("" if cell else "; batch_first is about the input, and never about the state")
        + ".",
        [written if not isinstance(state, tuple) else f"({written}, {written})", f"{name} alone  # begins with zeros"],
    )
