"""The structure of a batch as data: tuples, lists and dicts of tensors and constants.

    ((x, y), {"mask": m}, 3)   ->   ["tuple", ["tuple", ["tensor", 0], ["tensor", 1]], ["dict", ...], ["int", 3]]

Tensors are numbered in order; one that stands there twice has one number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera.artefact.descriptions import describe_tensor

_CONSTANTS = {"NoneType": type(None), "bool": bool, "int": int, "float": float, "str": str}


class CannotDescribe(Exception):
    """Something that is none of these."""


class Structure:
    """The structure of several values together.

    Attributes:
        written: of each value, as JSON holds it.
        layouts: shape, strides and dtype of each tensor.
    """

    def __init__(self, written: Sequence[Any], layouts: Sequence[Sequence[Any]]) -> None:
        self.written, self.layouts = list(written), [list(layout) for layout in layouts]
        self._read = [_reader(each) for each in self.written]

    def leaves(self, values: Sequence[Any]) -> list[torch.Tensor] | None:
        """The tensors of ``values`` by their numbers; None where they have another structure."""
        found: list[Any] = [None] * len(self.layouts)
        for read, value in zip(self._read, values, strict=True):
            if not read(value, found):
                return None
        return found

    def filled(self, leaves: Sequence[Any]) -> list[Any]:
        """Values of this structure with ``leaves`` for its tensors."""
        return [_filled(each, leaves) for each in self.written]

    def stand_ins(self) -> list[torch.Tensor]:
        """Uninitialised tensors of these layouts."""
        return [
            torch.empty_strided(shape, strides, dtype=getattr(torch, dtype)) for shape, strides, dtype in self.layouts
        ]


def structure_of(values: Sequence[Any]) -> Structure:
    """The structure of ``values``.

    Raises:
        CannotDescribe: something else than tensors on a CPU, constants, tuples, lists and dicts by strings.
    """
    numbers: dict[int, int] = {}
    layouts: list[Any] = []

    def written(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if type(value) is not torch.Tensor or value.layout is not torch.strided or value.device.type != "cpu":
                raise CannotDescribe(f"the batch holds a {describe_tensor(value)}")
            if id(value) not in numbers:
                numbers[id(value)] = len(layouts)
                layouts.append([list(value.shape), list(value.stride()), str(value.dtype).removeprefix("torch.")])
            return ["tensor", numbers[id(value)]]
        name = type(value).__name__
        if type(value) in (tuple, list):
            return [name, *map(written, value)]
        if type(value) is dict and all(type(key) is str for key in value):
            return [name, *([key, written(each)] for key, each in value.items())]
        if type(value) is _CONSTANTS.get(name):
            return [name, value]
        raise CannotDescribe(f"the batch holds a {type(value).__module__}.{type(value).__qualname__}")

    return Structure([written(value) for value in values], layouts)


def _reader(written: Any) -> Callable[[Any, list[Any]], bool]:
    """A function that puts the tensors of a value into a list; False where the value has another structure."""
    kind, *rest = written
    if kind == "tensor":
        return _tensor_reader(rest[0])
    if kind in ("tuple", "list"):
        expected, readers = {"tuple": tuple, "list": list}[kind], [_reader(each) for each in rest]

        def read(value: Any, found: list[Any]) -> bool:
            return (
                type(value) is expected
                and len(value) == len(readers)
                and all(each(part, found) for each, part in zip(readers, value, strict=True))
            )

        return read
    if kind == "dict":
        keyed = [(key, _reader(each)) for key, each in rest]
        keys = [key for key, _ in keyed]

        def read_dict(value: Any, found: list[Any]) -> bool:
            return type(value) is dict and list(value) == keys and all(each(value[key], found) for key, each in keyed)

        return read_dict
    constant, known = rest[0], _CONSTANTS[kind]
    return lambda value, _: type(value) is known and value == constant


def _tensor_reader(number: int) -> Callable[[Any, list[Any]], bool]:
    def read(value: Any, found: list[Any]) -> bool:
        if found[number] is None and isinstance(value, torch.Tensor):
            found[number] = value
            return all(value is not other for at, other in enumerate(found) if at != number)
        return found[number] is value and value is not None

    return read


def _filled(written: Any, leaves: Sequence[Any]) -> Any:
    kind, *rest = written
    if kind == "tensor":
        return leaves[rest[0]]
    if kind in ("tuple", "list"):
        return {"tuple": tuple, "list": list}[kind](_filled(each, leaves) for each in rest)
    if kind == "dict":
        return {key: _filled(each, leaves) for key, each in rest}
    return rest[0]
