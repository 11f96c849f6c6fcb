"""Which functions a capture went through, found from what the capture knows.

Dynamo keeps the codes only. Asking Python who refers to them would be a walk through all objects of the process, twice
for every compilation; here what Dynamo looked at is followed instead: closures, wrapped functions, methods of classes,
names in the code. The walk remains for codes that cannot be found so.
"""

from __future__ import annotations

import functools
import gc
import sys
import types
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tessera import torch_internals

_MOST = 100_000  # objects that are looked at
CACHE = type(functools.cache(lambda: None))


@dataclass
class TracedFunctions:
    """Functions of the user's that were captured.

    Attributes:
        functions: in no order; those made inside are none of them.
        holders: of each function by its id, what has it as ``__wrapped__``.
    """

    functions: list[types.FunctionType] = field(default_factory=list)
    holders: dict[int, list[Any]] = field(default_factory=dict)
    _seen: list[types.FunctionType] = field(default_factory=list)  # those of others too

    def of_cell(self, cell: types.CellType) -> list[types.FunctionType]:
        """The functions with this variable around them."""
        found = [f for f in self._seen if any(cell is each for each in f.__closure__ or ())]
        return found or list(_functions_around(cell))

    def look(self, objects: Iterable[Any], codes: frozenset[types.CodeType]) -> None:
        """Follow ``objects`` to functions with ``codes``."""
        waiting, seen = list(objects), dict[int, Any]()  # which keeps them alive: an id is of one object only
        while waiting and len(seen) < _MOST:
            value = waiting.pop()
            if id(value) in seen or issubclass(type(value), _PLAIN):
                continue
            seen[id(value)] = value
            if type(value) is types.FunctionType:
                self._seen.append(value)
                if value.__code__ in codes:
                    self.functions.append(value)
            wrapped = _attributes(value).get("__wrapped__")
            if wrapped is not None:
                self.holders.setdefault(id(wrapped), []).append(value)
            waiting.extend(_followed(value))

    def walk(self, codes: frozenset[types.CodeType]) -> None:
        """Ask Python who refers to ``codes``: a walk through all objects that there are, and one for their holders."""
        owners = [o for o in gc.get_referrers(*codes) if isinstance(o, types.FunctionType) and o.__code__ in codes]
        self.functions += owners
        for holder in gc.get_referrers(*owners) if owners else ():
            attributes = holder if type(holder) is dict else _attributes(holder)
            wrapped = attributes.get("__wrapped__")
            if any(wrapped is owner for owner in owners):
                self.holders.setdefault(id(wrapped), []).append(holder)


def functions_of(traced: torch_internals.Traced) -> TracedFunctions:
    """The functions whose codes were captured; looked for once in each capture."""
    if _latest and _latest[0][0]() is traced.capture:
        return _latest[0][1]
    found = TracedFunctions()
    found.look(traced.roots, traced.codes)
    known = {function.__code__ for function in found.functions}
    made_inside = {inner for code in traced.codes for inner in _inner(code)}
    if unknown := traced.codes - known - made_inside:
        found.walk(frozenset(unknown))
    _latest[:] = [(weakref.ref(traced.capture, lambda _: _latest.clear()), found)]
    return found


_latest: list[tuple[weakref.ref[Any], TracedFunctions]] = []  # one, for as long as its capture lasts
_PLAIN = (int, float, str, bytes, type(None), types.ModuleType, types.CodeType)


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inner(constant)


def _functions_around(cell: types.CellType) -> Iterator[types.FunctionType]:
    for closure in gc.get_referrers(cell):
        if isinstance(closure, tuple):
            yield from (owner for owner in gc.get_referrers(closure) if isinstance(owner, types.FunctionType))


def _attributes(value: Any) -> dict[str, Any]:
    """Those of its own; nothing of the user's runs."""
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return attributes if type(attributes) is dict else dict(attributes) if issubclass(type(value), type) else {}


def _followed(value: Any) -> Iterator[Any]:
    """What may lead from ``value`` to a function that is called with it."""
    if type(value) is types.FunctionType:
        yield from _of_function(value)
    elif issubclass(type(value), type):
        if not _is_a_librarys(value):
            yield from vars(value).values()
            yield from value.__mro__[1:]
            yield type(value)
    elif type(value) is types.MethodType:
        yield from (value.__func__, value.__self__)
    elif issubclass(type(value), functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif issubclass(type(value), (staticmethod, classmethod)):
        yield value.__func__
    elif issubclass(type(value), property):
        yield from (value.fget, value.fset, value.fdel)
    elif issubclass(type(value), functools.cached_property):
        yield value.func
    elif type(value) is CACHE:
        yield value.__wrapped__
    else:
        yield type(value)
        yield from (own for own in _attributes(value).values() if issubclass(type(own), _CALLED))


_CALLED = (types.FunctionType, types.MethodType, functools.partial, type, CACHE)


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    yield from vars(function).values()
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # nothing was assigned yet
            continue
    for code in (function.__code__, *_inner(function.__code__)):
        for name in code.co_names:
            named = function.__globals__.get(name)
            if isinstance(named, types.ModuleType):
                yield from (vars(named)[other] for other in code.co_names if other in vars(named))
            yield named


def _is_a_librarys(kind: type) -> bool:
    root = str(kind.__module__).partition(".")[0]
    return root in ("torch", "tessera") or root in sys.stdlib_module_names
