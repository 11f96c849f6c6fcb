"""A tensor whose value is worked out when something reads it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import torch

# What a tensor without a value yet is made of. Whatever reaches below `__torch_function__` (the C++ of an autograd
# function, a DLPack consumer) meets no elements, a device without memory and a gradient of the wrong shape: an error,
# never a wrong number.
_NOTHING = torch.empty(0, device="meta", requires_grad=True)


class Deferred(torch.Tensor):
    """Stands for the tensor that ``read()`` returns: every torch function, operator and attribute reads it first."""

    @classmethod
    def without_value(cls) -> Self:
        """One whose value is still to be worked out."""
        return _NOTHING.as_subclass(cls)

    @classmethod
    def of(cls, value: torch.Tensor) -> Self:
        """One that has its value, and shares memory and history with it even below ``__torch_function__``."""
        return value.as_subclass(cls)

    @abstractmethod
    def read(self) -> torch.Tensor:
        """The plain tensor; the same one every time."""

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return func(*read_all(args), **read_all(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        """What the model itself attached to its output."""
        if name.startswith("_"):  # a question about protocols, which a plain tensor answers with no
            raise AttributeError(name)
        return getattr(self.read(), name)


def read_all(given: Any) -> Any:
    """``given`` with every Deferred in it, also inside lists, tuples and dicts, replaced by its plain tensor."""
    if isinstance(given, Deferred):
        return given.read()
    if type(given) in {list, tuple}:
        return type(given)(read_all(item) for item in given)
    if type(given) is dict:
        return {key: read_all(item) for key, item in given.items()}
    return given
