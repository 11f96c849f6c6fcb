"""A function or a module that runs an edited text: copies all the way, the user's own objects stay as they are.

One statement at the top of a file (a function, a class) is compiled again with the edit in it. A copy of what is
checked then calls it: functions get globals in which the functions and classes of the same files are copies too, and a
module gets copies of its parts whose classes are subclasses with the methods copied.
"""

from __future__ import annotations
import __future__

import ast
import copy
import functools
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from torch import nn

from tessera.check.visited import Place, place_of_code
from tessera.users_code import is_library

_OF_FUTURE = __future__.annotations.compiler_flag


def compiled(statement: ast.stmt, file: str, flags: int) -> dict[Place, CodeType]:
    """The code of every function in a statement.

    Args:
        statement: at the top of ``file``, with the lines that it has there.
        file: where it is.
        flags: of the code as it was compiled before; whether annotations are kept as text.
    """
    tree = ast.Module([statement], [])
    whole = compile(tree, file, "exec", flags=flags & _OF_FUTURE, dont_inherit=True)
    return {place_of_code(code): code for code in _codes(whole)}


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


@functools.lru_cache(maxsize=1024)
def _names_in(code: CodeType) -> frozenset[str]:
    return frozenset(code.co_names).union(*(_names_in(one) for one in code.co_consts if isinstance(one, CodeType)))


class Copies:
    """Copies that run other code where there is some.

    Args:
        codes: the code of functions, by their place.
        defaults: of arguments that are others, by the place of the function and by name.
    """

    def __init__(
        self, codes: Mapping[Place, CodeType], defaults: Mapping[Place, Mapping[str, Any]] | None = None
    ) -> None:
        self._codes, self._defaults = codes, defaults or {}
        self._files = {file for file, _, _ in codes}
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []  # an id is one object's only as long as that lives

    def of(self, value: Any) -> Any:
        """A copy of a function, class or module of the user's; anything else as it is."""
        if id(value) in self._made:
            return self._made[id(value)]
        if isinstance(value, FunctionType) and not is_library(value.__code__.co_filename):
            return self._function(value)
        if isinstance(value, type) and issubclass(value, nn.Module) and self._is_of_files(value):
            return self._kind(value)
        return value

    def module(self, module: nn.Module) -> nn.Module:
        """A module of the same parts; the tensors are shared."""
        if id(module) not in self._made:
            new = self._keep(module, copy.copy(module))
            vars(new)["_parameters"] = dict(module._parameters)  # noqa: SLF001
            parts = module._modules.items()  # noqa: SLF001
            vars(new)["_modules"] = {name: part and self.module(part) for name, part in parts}
            kind: Any = type(module)
            if (other := self.of(kind)) is not kind:
                new.__class__ = other
        return self._made[id(module)]

    def _keep(self, value: Any, made: Any) -> Any:
        self._kept.append(value)
        self._made[id(value)] = made
        return made

    def _function(self, function: FunctionType) -> FunctionType:
        old = function.__code__
        code = self._codes.get(place_of_code(old), old)
        if set(code.co_freevars) != set(old.co_freevars):
            code = old
        if old.co_filename not in self._files:
            return self._keep(function, function)
        names = self._globals(function)
        cells = dict(zip(old.co_freevars, function.__closure__ or (), strict=True))
        around = tuple(cells[name] for name in code.co_freevars)
        others = self._defaults.get(place_of_code(old), {})
        given = old.co_varnames[: old.co_argcount][-len(function.__defaults__ or ()) :]
        defaults = tuple(others.get(*pair) for pair in zip(given, function.__defaults__ or (), strict=False))
        made = self._keep(function, FunctionType(code, names, function.__name__, defaults or None, around))
        by_name = function.__kwdefaults__
        made.__kwdefaults__ = by_name and {name: others.get(name, value) for name, value in by_name.items()}
        made.__dict__.update(function.__dict__)
        made.__annotations__ = function.__annotations__
        made.__qualname__, made.__module__ = function.__qualname__, function.__module__
        names.update({name: self.of(names[name]) for name in _names_in(code) if name in names})
        return made

    def _globals(self, function: FunctionType) -> dict[str, Any]:
        names = function.__globals__
        if id(names) not in self._made:
            self._keep(names, dict(names))
        return self._made[id(names)]

    def _is_of_files(self, kind: type) -> bool:
        return any(
            isinstance(value, FunctionType) and value.__code__.co_filename in self._files
            for one in kind.__mro__
            for value in vars(one).values()
        )

    def _kind(self, kind: type) -> type:
        if type(kind) is not type or any("__init_subclass__" in vars(one) for one in kind.__mro__ if one is not object):
            return self._keep(kind, kind)  # the user's code would hear of a copy
        made = self._keep(kind, type(kind.__name__, (kind,), {"__module__": kind.__module__}))
        made.__qualname__ = kind.__qualname__
        for one in reversed(kind.__mro__):
            for name, value in vars(one).items():
                if (other := self._method(value)) is not value:
                    setattr(made, name, other)
        return made

    def _method(self, value: Any) -> Any:
        if isinstance(value, property):
            return property(*(self.of(part) for part in (value.fget, value.fset, value.fdel)))
        if isinstance(value, (staticmethod, classmethod)):
            return type(value)(self.of(value.__func__))
        return self.of(value) if isinstance(value, FunctionType) else value
