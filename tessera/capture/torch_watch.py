"""Functions of torch that captures went through: Dynamo does not guard that they are still those that it captured.

torch.nn.functional.scaled_dot_product_attention = mine
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable
from typing import Any


class TorchWatch:
    """Whether the functions of torch that were named are still the same."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """No capture is left to be right."""
        self._named: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._still: list[tuple[Callable[[dict[str, Any]], Any], dict[str, Any], Any]] = []

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

    def holds(self) -> bool:
        """Whether nothing of it changed; one call for all names of a module, for there may be many."""
        try:
            for fetch, scope, functions in self._still:
                if fetch(scope) != functions:
                    return False
        except KeyError:  # one is gone
            return False
        return True
