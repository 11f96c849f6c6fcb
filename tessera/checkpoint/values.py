"""Plain Python values as JSON and back, exactly; tensors in them are handed out under names, to be stored elsewhere.

What JSON has no word for stands as an object of one key, its tag: ``{"tuple": [1, 2]}``, ``{"tensor": "model.bias"}``.
A dict is ``{"dict": {...}}``, so an object in the text is always a tag and nothing is guessed. Nothing else is ever
built when a file is read: a value that has no tag is refused when it is saved.
"""

from __future__ import annotations

import collections
import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from tessera.checkpoint.pieces import PIECES, array_from_bytes
from tessera.checkpoint.stateful import state_of
from tessera.errors import CheckpointError, StateError

Json = Any
"""What ``json.dumps`` writes without loss."""

_DEEPEST = 100  # the JSON of deeper nesting could be written, and then not be read within Python's recursion limit
_LARGEST = 2**63  # of an integer written as a JSON number
_SHOWN = 120  # characters of a name in a message


@dataclass
class Flattening:
    """Turns values into JSON and collects the tensors it meets.

    Attributes:
        tensors: by name, as they are: not copied, still on their device. Tensors that share their memory and layout
            (tied weights) are one entry.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    _names: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def flatten(self, value: Any, name: str, depth: int = 0) -> Json:
        """The JSON of ``value``; ``name`` is where it stands, such as ``model.layers.0.weight``.

        Raises:
            StateError: it is, or holds, something that is neither plain nor a tensor.
        """
        if is_json(value):
            return value
        if depth > _DEEPEST:
            raise StateError(
                f"{_shortened(name)} is nested over {_DEEPEST} deep, or contains itself.",
                f"A checkpoint holds values nested at most {_DEEPEST} deep.",
                "Flatten it, or leave it out.",
            )
        if container := self._containers().get(type(value)):
            return container(value, name, depth + 1)
        if isinstance(value, Tensor):
            return {"tensor": self._tensor(value, name)}
        for tag, piece in PIECES.items():
            if piece.takes(value):
                return {tag: piece.write(value)}
        if (state := state_of(value)) is not None:
            return self.flatten(state, name, depth + 1)
        raise _refused(value, name)

    def _containers(self) -> Mapping[type, Callable[[Any, str, int], Json]]:
        # By the very class: a subclass (a named tuple, a defaultdict) would come back as something less.
        return {
            list: self._sequence,
            tuple: lambda value, name, depth: {"tuple": self._sequence(value, name, depth)},
            dict: self._dict,
            collections.OrderedDict: self._ordered_dict,
            collections.Counter: self._counter,
            np.ndarray: self._array,
        }

    def _sequence(self, values: Sequence[Any], name: str, depth: int) -> Json:
        kinds = set(map(type, values))
        # A history of a hundred thousand losses is not looked at one by one.
        if (
            kinds <= {str}
            or kinds <= {bool}
            or (kinds == {float} and all(map(math.isfinite, values)))
            or (kinds == {int} and max(map(abs, values)) < _LARGEST)
        ):
            return list(values)
        return [self.flatten(value, f"{name}.{number}", depth) for number, value in enumerate(values)]

    def _dict(self, values: Mapping[Any, Any], name: str, depth: int) -> Json:
        flat = {key: self.flatten(value, f"{name}.{key}", depth) for key, value in values.items()}
        if all(type(key) is str for key in flat):
            return {"dict": flat}
        for key in flat:
            if isinstance(key, Tensor) or state_of(key) is not None:
                raise _refused(key, f"a key of {name}")
        return {"pairs": [[self.flatten(key, f"a key of {name}", depth), value] for key, value in flat.items()]}

    def _ordered_dict(self, values: collections.OrderedDict[Any, Any], name: str, depth: int) -> Json:
        flat = {"items": self._dict(values, name, depth)}
        if (versions := getattr(values, "_metadata", None)) is not None:  # torch's, of the layers of a model
            flat["metadata"] = self.flatten(versions, f"{name}._metadata", depth)
        return {"ordered_dict": flat}

    def _counter(self, values: collections.Counter[Any], name: str, depth: int) -> Json:
        return {"counter": {"items": self._dict(values, name, depth)}}  # torch's MultiStepLR keeps its milestones so

    def _array(self, value: np.ndarray[Any, Any], name: str, _: int) -> Json:
        if value.dtype.hasobject or value.dtype.names:
            raise _refused(value, name, f"an array of {value.dtype}")
        content = bytearray(value.tobytes())
        stored = (
            torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8, device="cpu")
        )
        described = {"dtype": value.dtype.str, "shape": list(value.shape), "tensor": self._named(stored, name)}
        # The hash is for the comparison between ranks: plain values are the same on all of them, and so are arrays.
        return {"array": {**described, "sha256": hashlib.sha256(content).hexdigest()}}

    def _tensor(self, value: Tensor, name: str) -> str:
        _check_tensor(value, name)
        memory = value.to_local() if isinstance(value, DTensor) else value
        if memory.numel() == 0:  # without memory there is nothing to share
            return self._named(value, name)
        # A view that conjugates or negates has the memory of the tensor it is a view of, and other values.
        bits = (memory.is_conj(), memory.is_neg())
        place = (memory.data_ptr(), memory.shape, memory.stride(), value.shape, value.dtype, value.device, bits)
        if place not in self._names:
            self._names[place] = self._named(value, name)
        return self._names[place]

    def _named(self, tensor: Tensor, name: str) -> str:
        # The name goes into files: no half of a surrogate pair, and not the one word that safetensors reserves.
        free = base = name.encode("utf-8", "backslashreplace").decode("utf-8")
        number = 2
        while free in self.tensors or free == "__metadata__":
            free, number = f"{base}#{number}", number + 1
        self.tensors[free] = tensor  # held, so that no other tensor of this state can get its memory
        return free


def unflatten(flat: Json, tensors: Mapping[str, Tensor]) -> Any:
    """The value whose JSON this is. One name of a tensor gives one and the same tensor wherever it stands.

    Raises:
        CheckpointError: the JSON was not made by ``Flattening``.
    """
    try:
        return _value(flat, tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, struct.error) as error:
        raise CheckpointError(
            f"The values of the checkpoint cannot be read ({type(error).__name__}: {error}).",
            "They are JSON with the tags of tessera.checkpoint.",
            "Load a checkpoint that tessera.checkpoint.save wrote, or update Tessera if a newer one wrote it.",
        ) from error


def tensor_names(flat: Json) -> list[str]:
    """The names of the tensors in the JSON of a value, in order, a tied one as often as it stands there."""
    if isinstance(flat, list):
        return [name for part in flat for name in tensor_names(part)]
    if not isinstance(flat, dict):
        return []
    ((tag, content),) = flat.items()
    if tag == "tensor":
        return [content]
    if tag == "array":
        return [content["tensor"]]
    if tag in PIECES:
        return []
    return tensor_names(list(content.values()) if isinstance(content, dict) else content)


def is_json(value: Any) -> bool:
    """Whether a value is JSON as it is."""
    kind = type(value)
    return (
        value is None
        or kind is str
        or kind is bool
        or (kind is int and abs(value) < _LARGEST)
        or (kind is float and math.isfinite(value))
    )


def _value(flat: Json, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(flat, list):
        return [_value(part, tensors) for part in flat]
    if not isinstance(flat, dict):
        return flat
    ((tag, content),) = flat.items()
    if tag in PIECES:
        return PIECES[tag].read(content)
    return _CONTAINERS[tag](content, tensors)


def _ordered_dict(content: Json, tensors: Mapping[str, Tensor]) -> Any:
    ordered = collections.OrderedDict(_value(content["items"], tensors))
    if "metadata" in content:
        vars(ordered)["_metadata"] = _value(content["metadata"], tensors)
    return ordered


_CONTAINERS: dict[str, Callable[[Any, Mapping[str, Tensor]], Any]] = {
    "tuple": lambda content, tensors: tuple(_value(part, tensors) for part in content),
    "dict": lambda content, tensors: {key: _value(part, tensors) for key, part in content.items()},
    "pairs": lambda content, tensors: {_value(key, tensors): _value(part, tensors) for key, part in content},
    "ordered_dict": _ordered_dict,
    "counter": lambda content, tensors: collections.Counter(_value(content["items"], tensors)),
    "tensor": lambda content, tensors: tensors[content],
    "array": lambda content, tensors: array_from_bytes(
        content["dtype"], tensors[content["tensor"]].numpy().tobytes(), content["shape"]
    ),
}


def _check_tensor(value: Tensor, name: str) -> None:
    if value.is_meta or torch.nn.parameter.is_lazy(value):
        raise _refused(value, name, "a tensor that has no memory yet")
    if type(value) not in {Tensor, torch.nn.Parameter} and not isinstance(value, DTensor):
        raise _refused(value, name, f"a {type(value).__name__}")
    if value.layout is not torch.strided or value.is_quantized:
        raise _refused(value, name, f"a {str(value.layout).removeprefix('torch.')} tensor of {value.dtype}")
    if isinstance(value, DTensor) and any(placement.is_partial() for placement in value.placements):
        raise _refused(value, name, "a DTensor whose parts are not summed yet")


def _refused(value: Any, name: str, what: str = "") -> StateError:
    kind = type(value)
    return StateError(
        f"{_shortened(name)} is {what or f'a {kind.__module__}.{kind.__qualname__}'.replace(' builtins.', ' ')}.",
        "A checkpoint holds dense tensors, numpy arrays and scalars, dtypes, None, bool, int, float, complex, str and "
        "bytes, in dicts, lists and tuples, and objects with a state_dict() of these.",
        "Give the object a state_dict() and a load_state_dict() that speak in plain values, or leave it out.",
    )


def _shortened(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[: _SHOWN // 2]}...{name[-_SHOWN // 4 :]}")
