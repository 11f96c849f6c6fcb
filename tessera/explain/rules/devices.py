"""Tensors of one operation on different devices."""

from __future__ import annotations

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation, tensors_of
from tessera.explain.values import dtype, shape


def apart(failure: Failure, operation: Operation) -> Explanation | None:
    """Operands that are not all on one device."""
    named: dict[str, tuple[str, torch.Tensor]] = {}
    for key, value in operation.values.items():
        for i, tensor in enumerate(tensors_of(value)):
            whole = failure.name(operation, key)
            name = whole if isinstance(value, torch.Tensor) else failure.name_of(tensor, f"{whole}[{i}]")
            named[name] = (key, tensor)
    if isinstance(operation.function, torch.nn.Module):
        for name, parameter in list(operation.function.named_parameters())[:1]:
            named[f"{type(operation.function).__name__}.{name}"] = ("", parameter)
    # A number in a tensor goes with any device.
    counted = {name: t.device for name, (_, t) in named.items() if t.dim() > 0 or t.device.type != "cpu"}
    if len(set(counted.values())) < 2 or "device" not in failure.message.lower():
        return None
    weight = next((t for name, (key, t) in named.items() if key in ("", "weight")), None)
    home = weight.device if weight is not None else next((d for d in counted.values() if d.type != "cpu"), None)
    if home is None:
        return None
    odd = next(name for name, device in counted.items() if device != home)
    key = named[odd][0]
    move = f"{{}}.to({str(home)!r})"
    fixes = (
        [failure.rewritten(operation, **{key: move})]
        if isinstance(operation.values.get(key), torch.Tensor)
        else [move.format(odd)]
    )
    if weight is not None:
        fixes.append(f"model.to({str(counted[odd])!r})  # all of the model to the data")
    else:
        fixes.append("device=x.device  # where it is made: torch.zeros(..., device=x.device)")
        fixes.append("self.register_buffer(name, tensor)  # a constant that moves with its module")
    return Explanation(
        "Device Error",
        f"{odd} on {home}, like the others",
        [f"{name}: {shape(t.shape)} {dtype(t.dtype)} on {t.device}" for name, (_, t) in named.items()],
        "An operation computes on one device, and torch moves nothing by itself.",
        fixes,
    )
