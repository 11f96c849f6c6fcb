"""Calls that were found to fit a contract: one more with the same sizes, dtypes and devices need not be looked at."""

from __future__ import annotations

from collections.abc import Mapping
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
        self._is_declared = tuple(
            parameter.name in contract.parameters
            for parameter in parameters
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        )
        self._bindings: dict[LookedAt | None, Bindings] = {}
        self._results: set[tuple[LookedAt | None, LookedAt | None]] = set()

    def looked_at(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> LookedAt | None:
        """All that a check of this call looks at; None where it may look at more, or where no data flows."""
        if len(args) > len(self._is_declared) or torch_internals.has_dispatch_modes():
            return None
        try:
            found = [_of(value) for value, looks in zip(args, self._is_declared, strict=False) if looks]
            named = [(name, _of(value)) for name, value in kwargs.items() if name in self._contract.parameters]
        except _LooksDeeper:
            return None
        return (len(args), *found, *named)

    def holds(self, call: LookedAt | None) -> bool:
        """Whether such a call fits."""
        return call in self._bindings

    def fits(self, call: LookedAt | None, result: Any) -> bool:
        """Whether such a result fits, of a call that ``holds``."""
        return self._contract.returns is None or (call, _result(result)) in self._results

    def bindings(self, call: LookedAt | None) -> Bindings:
        """What names stand for in a call that ``holds``; whoever gets it may add to it."""
        return self._bindings[call].copy()

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
