"""What a run consists of, in plain values: enough to tell that a model, an optimizer or the data is another one."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tessera.checkpoint.payload import stored
from tessera.checkpoint.pieces import PIECES
from tessera.checkpoint.stateful import can_load
from tessera.checkpoint.values import Json, is_json
from tessera.errors import ResumeError

_SAMPLED = 1 << 13  # elements of an array that are looked at
_SHOWN = 6


def fingerprint(value: Any, names: Mapping[int, str] | None = None) -> Json:
    """A description of an object of a run.

    An object with a method ``fingerprint()`` describes itself, in plain values. A module is its class, the names,
    shapes and dtypes of its state, and its layers: their classes, and the settings of torch's own; an optimizer its
    class, hyper-parameters and the parameters of each group in order; an array its shape, dtype and a hash of a sample
    of its elements; anything else its class and its length, if it has one. What loads a state of its own (a loader, a
    history) is its class alone: it knows itself what it can take over.

    Args:
        names: of parameters, by ``id``.
    """
    own = getattr(value, "fingerprint", None)
    if callable(own) and not isinstance(value, type):
        return _plain(own())
    return value if is_json(value) else _describe(value, names or {})


def parameter_names(state: Mapping[str, Any]) -> dict[int, str]:
    """The names of the parameters of all modules in ``state``, by ``id``."""
    return {
        id(param): f"{name}.{inner}"
        for name, value in state.items()
        if isinstance(value, torch.nn.Module)
        for inner, param in value.named_parameters()
    }


def differences(saved: Json, now: Json, name: str = "") -> list[str]:
    """What differs, one line each: what it was when saved, what it is now."""
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        return [
            line
            for key in dict.fromkeys([*saved, *now])
            for line in differences(saved.get(key), now.get(key), f"{name}.{key}" if name else str(key))
        ]
    if saved == now:
        return []
    if saved is None or now is None:
        return [f"{name} is new ({_text(now)})" if saved is None else f"{name} is gone ({_text(saved)})"]
    return [f"{name} was {_text(saved)} and is {_text(now)}"]


def check_same_run(folder: object, saved: Json, now: Json) -> None:
    """Go on if a run is made of what it was made of.

    Raises:
        ResumeError: the message lists what differs.
    """
    found = differences(saved, now)
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ResumeError(
            f"The run in {str(folder)!r} is not the one that is resumed: {'; '.join(found[:_SHOWN])}{more}.",
            "A run is resumed with the model, optimizer and data it was begun with.",
            "Change them back, write another folder for a new run, or take over what fits with "
            "tessera.checkpoint.restore(folder, {'model': model}, strict=False).",
        )


@functools.singledispatch
def _describe(value: Any, _: Mapping[int, str]) -> Json:
    described: dict[str, Any] = {"class": _class(value)}
    if isinstance(value, Sized) and not can_load(value):
        with contextlib.suppress(TypeError):  # data with a filter has the method and no answer
            described["length"] = len(value)
    return described


@_describe.register
def _module(module: torch.nn.Module, _: Mapping[int, str]) -> Json:
    state = module.state_dict(keep_vars=True)
    layers = {name: _layer(part) for name, part in module.named_modules() if name}
    return {"class": _class(module), **{name: _outline(entry) for name, entry in state.items()}, **layers}


@_describe.register
def _optimizer(optimizer: torch.optim.Optimizer, names: Mapping[int, str]) -> Json:
    described: dict[str, Any] = {"class": _class(optimizer)}
    saved = optimizer.state_dict()["param_groups"]  # where a schedule is plain numbers
    for number, (group, plain) in enumerate(zip(optimizer.param_groups, saved, strict=True)):
        settings = {key: _plain(value) for key, value in plain.items() if key not in {"params", "param_names"}}
        params = {
            str(place): f"{names.get(id(param), '')} {_outline(param)}".strip()
            for place, param in enumerate(group["params"])
        }
        described[f"group {number}"] = {**settings, "parameters": params}
    return described


@_describe.register(Tensor)
@_describe.register(np.ndarray)
def _array(value: Tensor | np.ndarray[Any, Any], _: Mapping[int, str]) -> Json:
    return {"array": f"{_outline(value)} {_sample(value)}"}


@_describe.register
def _mapping(value: Mapping, names: Mapping[int, str]) -> Json:  # type: ignore[type-arg]  # dispatch is by the class
    return {str(key): fingerprint(part, names) for key, part in value.items()}


@_describe.register(list)
@_describe.register(tuple)
def _sequence(value: Sequence[Any], names: Mapping[int, str]) -> Json:
    if not all(isinstance(part, Tensor | np.ndarray) for part in value):  # samples, perhaps a million of them
        return {"class": _class(value), "length": len(value)}
    return {str(number): fingerprint(part, names) for number, part in enumerate(value)}


def _layer(part: torch.nn.Module) -> str:
    # What others print may change while they train; that of torch's layers is what they were made with.
    own = type(part).__module__.startswith("torch.nn.")
    return f"{type(part).__qualname__}({part.extra_repr() if own else ''})"


def _plain(value: Any) -> Json:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if is_json(value):
        return value
    if isinstance(value, tuple | list):
        return {str(number): _plain(part) for number, part in enumerate(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return next((piece.write(value) for piece in PIECES.values() if piece.takes(value)), _class(value))


def _outline(value: Any) -> str:
    if not isinstance(value, Tensor | np.ndarray):
        return _class(value)
    if isinstance(value, Tensor) and torch.nn.parameter.is_lazy(value):
        return "not made yet"
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"


def _sample(value: Tensor | np.ndarray[Any, Any]) -> str:
    """A hash of elements at even distances: data of another order or another split hardly ever has the same."""
    array = _bits(value) if isinstance(value, Tensor) else value
    places = np.arange(0, array.size, max(1, array.size // _SAMPLED))
    # By index, for flattening would copy an array that is not in order, such as a transposed one, as a whole.
    picked = array[np.unravel_index(places, array.shape)] if array.ndim else array
    return hashlib.sha256(picked.tobytes()).hexdigest()[:16]


def _bits(value: Tensor) -> np.ndarray[Any, Any]:
    tensor = stored(value.detach().resolve_conj().resolve_neg()).cpu()
    unknown_to_numpy = tensor.is_floating_point() and (tensor.itemsize == 1 or tensor.dtype is torch.bfloat16)
    return (tensor.view(torch.uint8 if tensor.itemsize == 1 else torch.uint16) if unknown_to_numpy else tensor).numpy()


def _class(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _text(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
