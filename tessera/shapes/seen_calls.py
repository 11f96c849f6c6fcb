"""Calls that were found to fit a contract: one more with the same sizes, dtypes and devices need not be looked at."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.shapes.signature import Contract
from tessera.shapes.unify import Bindings

_MOST = 512  # then it begins anew: sizes may be new in every call for days

_WITH_DATA = (torch.Tensor, torch.nn.Parameter)

LookedAt = tuple[Any, ...]


class SeenCalls:
    """The calls of one function, by all that a check of them looks at."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        parameters = contract.signature.parameters.values()
        declared = {one.kind for one in parameters if one.name in contract.parameters}
        self._looks_at_rest = inspect.Parameter.VAR_POSITIONAL in declared
        self._looks_at_all_named = inspect.Parameter.VAR_KEYWORD in declared
        self._is_declared = tuple(
            parameter.name in contract.parameters
            for parameter in parameters
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        )
        self._bindings: dict[LookedAt | None, Bindings] = {}
        self._results: set[tuple[LookedAt | None, LookedAt | None]] = set()
        self._last: Last | None = None
        self._unlike, self._patience = 0, 1

    def __reduce__(self) -> tuple[Any, ...]:
        return SeenCalls, (self._contract,)  # what is known is of this process: a guard of C has no other form

    def last(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Last | None:
        """A call that fits and that this one is like, told in C: most calls are like the one before."""
        last = self._last
        if last is None or kwargs or len(args) != last.count or not last.takes(*args):
            return None
        return None if torch_internals.has_dispatch_modes() else last

    def looked_at(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> LookedAt | None:
        """All that a check of this call looks at; None where it may look at more, or where no data flows."""
        rest = len(args) - len(self._is_declared)
        if (rest > 0 and not self._looks_at_rest) or torch_internals.has_dispatch_modes():
            return None
        looks_at = (*self._is_declared, *[True] * rest) if rest > 0 else self._is_declared
        try:
            found = [_of(value) for value, looks in zip(args, looks_at, strict=False) if looks]
            named = [
                (name, _of(value))
                for name, value in kwargs.items()
                if self._looks_at_all_named or name in self._contract.parameters
            ]
        except _LooksDeeper:
            return None
        return (len(args), *found, *named)

    def bindings(self, call: LookedAt | None) -> Bindings | None:
        """What names stand for in such a call, which fits; whoever adds to it copies it first."""
        return self._bindings.get(call)

    def fits(self, call: LookedAt | None, result: Any) -> bool:
        """Whether such a result fits, of a call that does."""
        return self._contract.returns is None or (call, _result(result)) in self._results

    def remember(self, call: LookedAt | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """A call that fits, with its result, was the last one, and was not found to be like one before."""
        bound, returns = self._bindings.get(call), self._contract.returns
        if bound is None or kwargs or not all(type(value) in _WITH_DATA for value in args):
            return
        if returns is not None and type(result) not in _WITH_DATA:
            return
        self._unlike += 1
        if self._unlike < self._patience:
            return
        self._unlike = 0
        self._patience *= 2  # guards take longer to make than a look: sizes may alternate
        gives = _anything if returns is None else torch_internals.alike(result)
        self._last = Last(call, bound, len(args), torch_internals.alike(*args), gives)

    def add(self, call: LookedAt | None, bound: Bindings, result: Any) -> None:
        """A call that fits, with its result, and what names stand for by the arguments alone."""
        if call is None:
            return
        if len(self._results) >= _MOST or len(self._bindings) >= _MOST:
            self._results.clear()
            self._bindings.clear()
        self._bindings[call] = bound
        if (made := _result(result)) is not None:
            self._results.add((call, made))


@dataclass(frozen=True, slots=True)
class Last:
    """A call that fits, of tensors alone.

    Attributes:
        call: what was looked at.
        bound: what names stand for in it.
        count: how many arguments it has.
        takes: whether as many others are like its own.
        gives: whether a result is like its own.
    """

    call: LookedAt | None
    bound: Bindings
    count: int
    takes: Callable[..., bool]
    gives: Callable[[Any], bool]


def _anything(_: Any) -> bool:
    return True


class _LooksDeeper(Exception):
    """What is given is no tensor with data, or not one alone."""


def _result(result: Any) -> LookedAt | None:
    try:
        return _of(result)
    except _LooksDeeper:
        return None


def _of(value: Any) -> LookedAt:
    kind = type(value)
    if kind in _WITH_DATA:
        return value.shape, value.dtype, value.device
    if value is None:
        return ()
    if kind is tuple or kind is list:
        return (kind, *map(_of, value))
    if kind is dict:
        return (dict, *value, *map(_of, value.values()))
    raise _LooksDeeper
