"""What captures rely on and Dynamo does not guard: looked at here at every call.

- A name of Python's own (``max``) may become a global of the module that uses it.
- The ``forward`` of a class of modules may be replaced.
- A variable may be set in ``os.environ``.
- A function, or a module, may get an attribute that it did not have.
- A module that is imported inside may be replaced in ``sys.modules``.
- A function of torch may be replaced: see ``torch_watch``.
- A class may get other methods: see ``class_watch``.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from collections.abc import KeysView, Mapping, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.named_values import named_values
from tessera.backend.traced_functions import functions_of
from tessera.capture.class_watch import ClassWatch
from tessera.capture.torch_watch import TorchWatch


class NameWatch:
    """Whether what captures were told is still so."""

    def __init__(self) -> None:
        self._classes, self._torch = ClassWatch(), TorchWatch()
        self.forget()

    def forget(self) -> None:
        """No capture is left to be right."""
        self._forwards: dict[Any, Any] = {}
        self._names: dict[int, tuple[KeysView[str], set[str]]] = {}
        self._attributes: dict[int, tuple[dict[str, Any], set[str]]] = {}
        self._imports: dict[str, types.ModuleType | None] = {}
        self._environment: Mapping[str, str] | None = None
        self._torch.forget()
        self._classes.forget()
        self._choose()

    def see(self, traced: torch_internals.Traced) -> None:
        """This was captured."""
        kinds = {o if issubclass(type(o), type) else type(o) for o in traced.objects}
        for function in functions_of(traced).functions:
            scope = function.__globals__
            _, names = self._names.setdefault(id(scope), (scope.keys(), set()))
            names.update(n for n in function.__code__.co_names if n in vars(builtins) and n not in scope)
            if not _OF_ENVIRONMENT.isdisjoint(function.__code__.co_names):
                self._see_environment()
            asks = not {"getattr", "hasattr"}.isdisjoint(function.__code__.co_names)
            for value, attribute in named_values(function):
                if type(value) is types.FunctionType and (asks or attribute):
                    self._attributes.setdefault(id(value), (vars(value), set(vars(value))))
                if type(value) is types.ModuleType and (asks or attribute):
                    asked = {c for c in function.__code__.co_consts if isinstance(c, str)} if asks else set()
                    _, names = self._names.setdefault(id(vars(value)), (vars(value).keys(), set()))
                    names.update((asked | {attribute}) - vars(value).keys())
                self._torch.see(value, attribute)
                kinds.add(value if issubclass(type(value), type) else type(value))
        for name in torch_internals.imported_names(traced.codes):
            self._imports[name] = sys.modules.get(name)
        self._torch.settle()
        self._classes.see(kinds, traced.codes)
        self._choose()

    def settle(self) -> None:
        """What was captured is again as its user made it."""
        self._classes.settle()
        self._choose()

    def see_guards(self, guards: Sequence[torch_internals.Guard]) -> None:
        """These are what Dynamo looks at itself."""
        for guard in guards:
            if "environ" in guard.name and guard.has_value and guard.value is os.environ:
                self._see_environment()
            if guard.has_value and isinstance(guard.value, torch.nn.Module):
                kind: Any = type(guard.value)
                self._forwards.setdefault(kind, kind.forward)
        self._choose()

    def _see_environment(self) -> None:
        if self._environment is None:
            self._environment = dict(os.environ)

    def holds(self) -> bool:
        """Whether nothing of it changed."""
        for check in self._checks:  # noqa: SIM110 - a generator takes longer than they do
            if not check():
                return False
        return True

    def _choose(self) -> None:
        """Most captures rely on little of it, and every call waits for these checks."""
        own = any((self._forwards, self._attributes, self._imports, self._environment is not None))
        if own or any(free for _, free in self._names.values()):
            self._checks = [self._names_hold]
        else:
            self._checks = []
        self._checks += [watch.holds for watch in (self._torch, self._classes) if watch.watches]

    def _names_hold(self) -> bool:
        for kind, forward in self._forwards.items():
            if kind.forward is not forward:
                return False
        for names, free in self._names.values():
            if not names.isdisjoint(free):
                return False
        for attributes, known in self._attributes.values():
            if attributes.keys() != known:
                return False
        for name, module in self._imports.items():
            if sys.modules.get(name) is not module:
                return False
        return self._environment is None or self._environment == os.environ


_OF_ENVIRONMENT = {"getenv", "expandvars", "expanduser"}
