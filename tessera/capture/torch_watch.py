"""Functions of torch that captures went through: Dynamo does not guard that they are still those that it captured.

torch.nn.functional.scaled_dot_product_attention = mine
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable
from typing import Any

from tessera.torch_internals import namespace_version


class TorchWatch:
    """Whether the functions of torch that were named are still the same."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """No capture is left to be right."""
        self._named: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._still: list[tuple[Callable[[dict[str, Any]], Any], dict[str, Any], Any]] = []
        self._versions: list[tuple[dict[str, Any], int]] = []  # a number of a module for all of its names

    def see(self, module: object, name: str) -> None:
        """A captured function names ``module.name``."""
        if type(module) is not types.ModuleType or module.__name__.partition(".")[0] != "torch":
            return
        scope = vars(module)
        found = scope.get(name)
        if callable(found) and not isinstance(found, type):
            _, functions = self._named.setdefault(id(scope), (scope, {}))
            functions.setdefault(name, found)

    def settle(self) -> None:
        """All of a capture were seen."""
        self._still = []
        for scope, functions in self._named.values():
            fetch = operator.itemgetter(*functions)
            self._still.append((fetch, scope, fetch(functions)))
        self._versions = [(scope, _NO_VERSION) for scope, _ in self._named.values()]  # it may have changed meanwhile

    @property
    def watches(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._still)

    def holds(self) -> bool:
        """Whether nothing of it changed."""
        for scope, version in self._versions:
            if namespace_version(scope) != version:
                return self._look_again()
        return True

    def _look_again(self) -> bool:
        """A module of torch got, changed or lost some name: one of those that were captured?"""
        versions = [(scope, namespace_version(scope)) for scope, _ in self._versions]
        try:
            for fetch, scope, functions in self._still:
                if fetch(scope) != functions:
                    return False
        except KeyError:  # one is gone
            return False
        self._versions = versions
        return True


_NO_VERSION = -1
