"""What captures rely on and Dynamo does not guard: looked at here at every call.

- A name of Python's own (``max``) may become a global of the module that uses it.
- The ``forward`` of a class of modules may be replaced.
- A variable may be set in ``os.environ``.
"""

from __future__ import annotations

import builtins
import os
import types
from collections.abc import Iterable, KeysView, Mapping, Sequence
from typing import Any

import torch

from tessera import torch_internals


class NameWatch:
    """Whether what captures were told is still so."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """No capture is left to be right."""
        self._forwards: dict[Any, Any] = {}
        self._names: dict[int, tuple[KeysView[str], set[str]]] = {}
        self._environment: Mapping[str, str] | None = None

    def see_functions(self, functions: Iterable[types.FunctionType]) -> None:
        """These were captured, the user's among them."""
        for function in functions:
            scope = function.__globals__
            _, names = self._names.setdefault(id(scope), (scope.keys(), set()))
            names.update(n for n in function.__code__.co_names if n in vars(builtins) and n not in scope)

    def see_guards(self, guards: Sequence[torch_internals.Guard]) -> None:
        """These are what Dynamo looks at itself."""
        for guard in guards:
            if "environ" in guard.name and guard.has_value and guard.value is os.environ and self._environment is None:
                self._environment = dict(os.environ)
            if guard.has_value and isinstance(guard.value, torch.nn.Module):
                kind: Any = type(guard.value)
                self._forwards.setdefault(kind, kind.forward)

    def holds(self) -> bool:
        """Whether nothing of it changed."""
        for kind, forward in self._forwards.items():
            if kind.forward is not forward:
                return False
        for names, free in self._names.values():
            if not names.isdisjoint(free):
                return False
        return self._environment is None or self._environment == os.environ
