"""A hash of all that a value holds: an optimizer's formulas, schedules and numbers, wherever they are kept.

Functions count with their code, their defaults, what they close over and the globals that they read; objects with their
class and their attributes; tensors with their values. Of torch, Tessera and Python's own library names are enough.
"""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from tessera.artefact.descriptions import code_hash, constant, describe, describe_tensor, is_own


class CannotTell(Exception):
    """Something whose contents no hash can be made of."""


def contents_hash(value: Any) -> str:
    """The hash.

    Raises:
        CannotTell: something keeps what it holds where Python cannot see it.
    """
    return hashlib.sha256("\0".join(_Walk().words(value)).encode()).hexdigest()[:16]


class _Walk:
    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # what has a number is not freed before the walk ends

    def words(self, value: Any) -> Iterator[str]:
        if (word := constant(value)) is not None:
            yield word
            return
        if id(value) in self._seen:
            yield f"number {self._seen[id(value)]}"
            return
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        yield from self._inside(value)

    def _inside(self, value: Any) -> Iterator[str]:
        for kinds, words in self._kinds():
            if isinstance(value, kinds):
                yield from words(value)
                return
        attributes = _attributes(value)
        if attributes is None:
            raise CannotTell(f"a {type(value).__module__}.{type(value).__qualname__}")
        yield from self.words(type(value))
        yield from self.words(attributes)

    def _kinds(self) -> Iterator[tuple[Any, Callable[[Any], Iterator[str]]]]:
        yield torch.Tensor, _tensor
        yield (type, types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType), _by_name
        yield types.FunctionType, self._function
        yield types.MethodType, lambda value: self.words((value.__func__, value.__self__))
        yield functools.partial, lambda value: self.words((value.func, value.args, value.keywords))
        yield Mapping, lambda value: self._several(value, [part for item in value.items() for part in item])
        yield (list, tuple), lambda value: self._several(value, value)

    def _several(self, value: Any, parts: Sequence[Any]) -> Iterator[str]:
        yield f"{type(value).__qualname__} of {len(value)}"
        for part in parts:
            yield from self.words(part)

    def _function(self, function: types.FunctionType) -> Iterator[str]:
        yield f"function {function.__qualname__} {code_hash(function.__code__)}"
        yield from self.words([function.__defaults__, function.__kwdefaults__])
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            yield from self.words(content)
        if not is_own(function):
            for name in _names_read(function.__code__):
                if name in function.__globals__:
                    yield name
                    yield from self.words(function.__globals__[name])


def _tensor(value: torch.Tensor) -> Iterator[str]:
    yield describe_tensor(value)
    content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    yield hashlib.sha256(content.tobytes()).hexdigest()


def _by_name(value: Any) -> Iterator[str]:
    yield describe(value)


def _names_read(code: types.CodeType) -> list[str]:
    """The names that code reads, that of functions inside it too."""
    inner = [name for each in code.co_consts if isinstance(each, types.CodeType) for name in _names_read(each)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _attributes(value: Any) -> dict[str, Any] | None:
    """What an object holds, without what a dataclass leaves out when it compares; None where Python cannot see it."""
    names = [name for base in type(value).__mro__ for name in getattr(base, "__slots__", ())]
    found = {name: getattr(value, name) for name in names if hasattr(value, name)}
    found |= getattr(value, "__dict__", {})
    if not found and not hasattr(value, "__dict__") and not names and type(value) is not object:
        return None
    ignored = {name for name, each in getattr(value, "__dataclass_fields__", {}).items() if not each.compare}
    return {name: each for name, each in found.items() if name not in ignored and name != "__weakref__"}
