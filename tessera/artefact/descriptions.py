"""Python values in words: what a capture relied on, to be compared in another process.

Constants are themselves, functions and classes the hash of their code, tensors their layout, containers their keys or
length; any other object is its class. Of torch, Tessera and Python's own library the name is enough: their versions
are compared.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch

_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type(...))
_TORCH_CONSTANTS = (torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size)
_OWN = {"torch", "tessera", "builtins", "numpy", *sys.stdlib_module_names} - {"__main__"}
_DEEPEST = 9  # containers in one another: a list may hold itself
_NO_CODE = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__firstlineno__", "__abc_impl__"}


def describe(value: Any) -> str:
    """``value`` in words; equal words mean that code captured for the one fits the other."""
    if (word := constant(value)) is not None:
        return word
    for kinds, words in _KINDS:
        if isinstance(value, kinds):
            return words(value).rstrip()
    shadowed = [name for name in getattr(value, "__dict__", ()) if hasattr(type(value), name)]
    return f"object of {describe(type(value))}" + (f" with its own {', '.join(sorted(shadowed))}" if shadowed else "")


def describe_tensor(value: torch.Tensor) -> str:
    """Class, dtype, shape, strides, device, and whether it takes a gradient."""
    dtype = str(value.dtype).removeprefix("torch.")
    trained = ", takes a gradient" if value.requires_grad else ""
    strides = list(value.stride()) if value.layout is torch.strided else str(value.layout)
    return f"{type(value).__name__} {dtype}{list(value.shape)}, strides {strides}, {value.device}{trained}"


def _describe_dict(value: dict[Any, Any]) -> str:
    keys = [constant(key) for key in value]
    return f"{_name(type(value))} of {len(keys)}" + ("" if None in keys else f": {', '.join(map(str, keys))}")


def constant(value: Any, depth: int = 0) -> str | None:
    """A constant or a container of constants; None for anything else."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if type(value) in _CONSTANTS or isinstance(value, _TORCH_CONSTANTS):
        return f"{type(value).__name__} {value!r}"
    if type(value) in (tuple, list, frozenset, set) and depth < _DEEPEST:
        parts = [constant(part, depth + 1) for part in value]
        if None not in parts:
            ordered = parts if type(value) in (tuple, list) else sorted(map(str, parts))
            return f"{type(value).__name__} ({', '.join(map(str, ordered))})"
    return None


def _name(value: Any) -> str:
    """Where code has a hash its module does not matter: a script run by itself or imported has the same."""
    return f"{value.__module__}.{value.__qualname__}" if is_own(value) else value.__qualname__


def is_own(value: Any) -> bool:
    """Whether a class or function comes with torch, Tessera or Python, whose versions are compared."""
    return str(getattr(value, "__module__", None)).partition(".")[0] in _OWN


@functools.lru_cache(maxsize=4096)
def class_hash(kind: type) -> str:
    """The hash of all code and constants that a class gives its objects; empty for one of torch's or Python's."""
    parts: list[str] = []
    for base in kind.__mro__:
        if is_own(base):
            parts.append(_name(base))
            continue
        for name, value in sorted(vars(base).items()):
            if name not in _NO_CODE and not name.startswith("_abc_"):
                functions = list(_functions_of(value))
                parts += [f"{base.__qualname__}.{name} {_function(each, set())}" for each in functions]
                if not functions:
                    parts.append(f"{base.__qualname__}.{name} {constant(value) or type(value).__qualname__}")
    return "" if is_own(kind) else _digest(parts)


def function_hash(function: types.FunctionType) -> str:
    """The hash of a function's code, its defaults and the functions in its closure; empty for one of torch's."""
    return "" if is_own(function) and function.__closure__ is None else _function(function, set())


def _function(function: types.FunctionType, seen: set[int]) -> str:
    if id(function) in seen:
        return "itself"
    seen.add(id(function))
    defaults = [*(function.__defaults__ or ()), *sorted((function.__kwdefaults__ or {}).items())]
    parts = [code_hash(function.__code__), *(constant(value) or type(value).__qualname__ for value in defaults)]
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        parts += [_function(inner, seen) for inner in _functions_of(content)]
    return _digest(parts)


def _functions_of(value: Any) -> Iterator[types.FunctionType]:
    """The functions that an attribute of a class stands for."""
    if isinstance(value, types.FunctionType):
        yield value
    elif isinstance(value, staticmethod | classmethod):
        yield from _functions_of(value.__func__)
    elif isinstance(value, property):
        for accessor in (value.fget, value.fset, value.fdel):
            yield from _functions_of(accessor)
    elif isinstance(value, functools.cached_property | functools.partialmethod | functools.partial):
        yield from _functions_of(value.func)
    elif (wrapped := getattr(value, "__wrapped__", None)) is not None and not isinstance(value, type):
        yield from _functions_of(wrapped)


@functools.lru_cache(maxsize=4096)
def code_hash(code: types.CodeType) -> str:
    """The hash of what code does, wherever it stands in its file."""
    constants = [code_hash(each) if isinstance(each, types.CodeType) else _ordered(each) for each in code.co_consts]
    names = [*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars]
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    table = getattr(code, "co_exceptiontable", b"")
    return _digest([code.co_name, code.co_code.hex(), table.hex(), *map(repr, counts), *names, *constants])


def _ordered(value: Any) -> str:
    """A constant in words that do not depend on the order in which a process hashes strings."""
    if isinstance(value, frozenset):
        return f"frozenset {sorted(map(_ordered, value))}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_ordered, value))})"
    return f"{type(value).__name__} {value!r}"


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


_BUILTIN = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
_KINDS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (torch.Tensor, describe_tensor),
    (type, lambda value: f"class {_name(value)} {class_hash(value)}"),
    (types.ModuleType, lambda value: f"module {value.__name__}"),
    (types.MethodType, lambda value: f"method {describe(value.__func__)} of {type(value.__self__).__qualname__}"),
    (types.FunctionType, lambda value: f"function {_name(value)} {function_hash(value)}"),
    (_BUILTIN, lambda value: f"builtin {value.__qualname__}"),
    (dict, _describe_dict),
    ((list, tuple, set, frozenset), lambda value: f"{_name(type(value))} of {len(value)}"),
)
