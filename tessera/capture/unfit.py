"""Calls that run as they are, for what Dynamo does while it captures would show.

- A key of ``max()`` or ``min()`` is run while they are captured, and never again.
- An object of a class with ``__del__`` is made before it is known whether the frame is captured, and dropped.
- An object with a ``__getattr__`` that notes what it is asked is asked for attributes that nobody named.
- What is captured in pieces has other names on the stack, and no second derivative.
- A tensor that compiled code made in inference mode is as any other.
- An argument that is given by its place and by its name is taken for one of ``**more``.
"""

from __future__ import annotations

import dis
import inspect
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.named_values import named_values
from tessera.backend.own_methods import owner_of
from tessera.capture.second_derivative import passes_create_graph
from tessera.capture.step_down import RunsEagerlyOnce

KEYED = "Dynamo runs the key of max() or min() in {} while it captures, and not again"
FINALIZED = "Dynamo makes objects of {} that nobody asked for, and {}.__del__ runs for them"
ASKED = "Dynamo asks an object of {} for attributes that nobody named, which its {} notes"
STACK = "{} reads the stack, on which what is captured in pieces has other names"
SECOND = "{} differentiates twice, and what is captured in pieces has no second derivative"
INFERENCE = "{} asks whether a tensor was made in inference mode, where compiled code makes none"
GIVEN_TWICE = "the argument {} is given by its place and by its name"


def why_unfit(functions: Iterable[types.FunctionType], called: Iterable[Any], *, whole: bool = False) -> str:
    """The reason never to capture what is ``called``, or an empty string.

    Args:
        functions: the user's among what is ``called`` and what these name.
        called: functions and modules.
        whole: whether it would be captured in one piece, or not at all.
    """
    functions = list(functions)
    for function in functions:
        if _has_key_with_effects(function):
            return KEYED.format(function.__qualname__)
        if not whole and not _OF_STACKS.isdisjoint(function.__code__.co_names):
            return STACK.format(function.__qualname__)
        if "is_inference" in function.__code__.co_names:
            return INFERENCE.format(function.__qualname__)
        if not whole and passes_create_graph(function.__code__):
            return SECOND.format(function.__qualname__)
    named = [value for function in functions for value, _ in named_values(function)]
    for value in named:
        if issubclass(type(value), type) and (owner := owner_of(value, "__del__")) is not None:
            return FINALIZED.format(value.__qualname__, owner.__qualname__)
    return next(_notes_what_it_is_asked([*named, *_owners(called)]), "")


_OF_STACKS = {"_getframe", "currentframe"}


def refuse_noting_arguments(data: Any) -> None:
    """Look at the arguments of a call.

    Raises:
        RunsEagerlyOnce: one of them is an object that notes what it is asked.
    """
    for reason in _notes_what_it_is_asked(torch_internals.flattened(data)[0]):
        raise RunsEagerlyOnce(reason)


def _notes_what_it_is_asked(values: Iterable[Any]) -> Iterator[str]:
    for kind in {type(value) for value in values}:
        for name in ("__getattr__", "__getattribute__"):
            if (owner := owner_of(kind, name)) is not None and _has_effects(vars(owner)[name].__code__):
                yield ASKED.format(kind.__qualname__, name)


def refuse_given_twice(called: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Look whether a call is one that Python refuses and Dynamo does not, by the function or one behind it.

    Raises:
        RunsEagerlyOnce: it is.
    """
    waiting, seen = [called] if kwargs else [], set()
    while waiting:
        function = waiting.pop()
        if id(function) in seen or (parameters := _parameters(function)) is None:
            continue
        seen.add(id(function))
        kinds = {parameter.kind for parameter in parameters}
        if inspect.Parameter.VAR_KEYWORD in kinds:
            for parameter, _ in zip(parameters, args, strict=False):
                if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and parameter.name in kwargs:
                    raise RunsEagerlyOnce(GIVEN_TWICE.format(parameter.name))
            if inspect.Parameter.VAR_POSITIONAL in kinds:  # it hands them on
                waiting += _named_by(function)


def _parameters(function: Any) -> list[inspect.Parameter] | None:
    try:
        signature = inspect.signature(_plain(function), follow_wrapped=False)
    except (TypeError, ValueError):  # of a builtin
        return None
    return list(signature.parameters.values())


def _plain(function: Any) -> Any:
    return function.forward if isinstance(function, torch.nn.Module) else function


def _named_by(function: Any) -> list[Any]:
    """Functions that a function, or the forward of a module, may call first."""
    own = list(vars(function).values()) if isinstance(function, torch.nn.Module) else []
    plain = getattr(_plain(function), "__func__", _plain(function))
    named = [value for value, _ in named_values(plain)] if isinstance(plain, types.FunctionType) else []
    return [value for value in (*own, *named) if isinstance(value, (types.FunctionType, types.MethodType))]


def _owners(called: Iterable[Any]) -> Iterator[Any]:
    """The objects whose methods are called."""
    for value in called:
        if isinstance(value, torch.nn.Module):
            yield from value.modules()
        elif isinstance(value, types.MethodType):
            yield value.__self__


def _has_key_with_effects(function: types.FunctionType) -> bool:
    """Whether ``max(..., key=)`` or ``min`` is called with what may do more than compute."""
    code = function.__code__
    has_key = any(isinstance(names, tuple) and "key" in names for names in code.co_consts)
    if not has_key or {"max", "min"}.isdisjoint(code.co_names):
        return False
    inside = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    named = [value.__code__ for value, _ in named_values(function) if type(value) is types.FunctionType]
    return any(map(_has_effects, (*inside, *named)))


def _has_effects(code: types.CodeType) -> bool:
    return not _CHANGING.isdisjoint(code.co_names) or any(
        i.opname in ("STORE_GLOBAL", "STORE_ATTR", "STORE_SUBSCR", "STORE_DEREF") for i in dis.get_instructions(code)
    )


_CHANGING = {
    *("append", "extend", "insert", "remove", "pop", "add", "discard", "update", "setdefault", "clear", "next", "send"),
    *("print", "write", "debug", "info", "warning", "error", "log", "random", "randint", "choice"),
}
