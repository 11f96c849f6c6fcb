"""Methods of classes that captures went through: Dynamo does not guard that they are still those of the class."""

from __future__ import annotations

import abc
import functools
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class ClassWatch:
    """Whether the classes that were used have the methods that were captured, and no new ones that would come first."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """No capture is left to be right."""
        self._names: dict[type, frozenset[str]] = {}
        self._used: dict[tuple[type, str], tuple[Mapping[str, Any], Any]] = {}
        self._codes: dict[types.FunctionType, types.CodeType] = {}
        self._named: set[str] = set()
        self._registered: object = None

    def see(self, kinds: Iterable[type], codes: frozenset[types.CodeType]) -> None:
        """These classes were used, and functions with these codes captured."""
        called = {name for code in codes for name in code.co_names}
        self._named |= called
        for kind in kinds:
            for owner in filter(_is_watched, kind.__mro__):
                self._names[owner] = frozenset(vars(owner))
                for name, value in vars(owner).items():
                    if not codes.isdisjoint(_codes_of(value)) or (name in called and _is_looked_up(value)):
                        self._used[owner, name] = vars(owner), value
            if issubclass(type(kind), abc.ABCMeta):  # classes that are registered later are subclasses of it
                self._registered = abc.get_cache_token()

    def settle(self) -> None:
        """Methods have their own codes again, if copies were captured in place of them."""
        for _, value in self._used.values():
            if isinstance(value, types.FunctionType):
                self._codes.setdefault(value, value.__code__)

    @property
    def watches(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._codes or self._used or self._names) or self._registered is not None

    def holds(self) -> bool:
        """Whether nothing of it changed."""
        for function, code in self._codes.items():
            if function.__code__ is not code:
                return False
        for (_, name), (own, value) in self._used.items():
            if own.get(name) is not value:
                return False
        for owner, names in self._names.items():
            if vars(owner).keys() != names:
                new = vars(owner).keys() - names
                if not self._named.isdisjoint(new) or any(_is_looked_up(vars(owner)[name]) for name in new):
                    return False
                self._names[owner] = frozenset(vars(owner))
        return self._registered is None or self._registered == abc.get_cache_token()


def _is_watched(kind: type) -> bool:
    root = str(kind.__module__).partition(".")[0]
    return root not in ("torch", "tessera") and root not in sys.stdlib_module_names


def _is_looked_up(value: Any) -> bool:
    """Whether Python does something with it when it is found in a class."""
    return hasattr(type(value), "__get__")


def _codes_of(value: Any) -> Iterator[types.CodeType]:
    match value:
        case types.FunctionType():
            yield value.__code__
            yield from _codes_of(vars(value).get("__wrapped__"))
        case staticmethod() | classmethod():
            yield from _codes_of(value.__func__)
        case property():
            for part in (value.fget, value.fset, value.fdel):
                yield from _codes_of(part)
        case functools.cached_property() | functools.partialmethod():
            yield from _codes_of(value.func)
