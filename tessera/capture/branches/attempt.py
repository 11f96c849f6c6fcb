"""Captures whole what stops at conditionals that tensors decide, each rewritten in a copy of its function.

A copy is the code of the user's function for as long as Dynamo records it, and not longer: everything else of the
function, its globals, closure and defaults, is the function's own, and what guards look at is the function as it was.
"""

from __future__ import annotations

import contextlib
import gc
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import fx

from tessera import torch_internals
from tessera.capture.branches.proof import GivenBack, Unsafe, decisions, prove
from tessera.capture.branches.rewrite import CannotRewrite, Key, deciding, rewritten
from tessera.capture.branches.source import Definition, compiled, definition_of
from tessera.capture.step_down import CannotCapture
from tessera.program import source_line
from tessera.users_code import is_library

_ROUNDS = 64  # conditionals in one capture
_PATIENCE = 3  # captures that failed, after which none is tried
TOLD = "decided by a tensor, both branches are compiled: {}"
R = TypeVar("R")


@dataclass(frozen=True)
class _Copy:
    original: types.CodeType
    source: Definition
    those: frozenset[Key]
    code: types.CodeType


class Unproved(CannotCapture):
    """A capture in which branches may do more than compute."""


class Branches:
    """The conditionals that are compiled both ways in the captures of one function."""

    def __init__(self) -> None:
        self._copies: dict[int, _Copy] = {}  # by the id of the original, which the copy keeps alive
        self._refused: set[tuple[str, frozenset[Key]]] = set()
        self._failures = 0
        self._in_place: list[tuple[types.FunctionType, _Copy]] = []

    @property
    def hopeful(self) -> bool:
        """Whether there is still a point in trying."""
        return self._failures < _PATIENCE

    def capture(self, attempt: Callable[[], R]) -> R:
        """What ``attempt`` returns, which captures something whole.

        Raises:
            Exception: what the first attempt raised, where conditionals are in its way that cannot be rewritten.
        """
        first: Exception | None = None
        before, tried = dict(self._copies), set[tuple[str, frozenset[Key]]]()
        while True:
            try:
                with torch_internals.keeping_stops(), self._copies_in_place():
                    return attempt()
            except Exception as error:
                stop = torch_internals.stopped_by_value(error)
                if stop is not None:
                    error.__traceback__ = None  # it holds all that was recorded
                first = first or error
                learnt = self._learn(*stop) if stop is not None and len(tried) < _ROUNDS else None
                if learnt is None:
                    if not (tried and _is_about_branches(error)):
                        raise
                    self._copies, self._refused = before, self._refused | tried
                    raise first from None
                tried.add(learnt)

    def failed(self) -> None:
        """A capture was given up."""
        self._failures += 1

    def check(self, graph_module: fx.GraphModule) -> tuple[list[GivenBack], list[str]]:
        """Which results are to be arguments, and what to tell of the branches that were captured, once for each line.

        Raises:
            Unproved: they may do more than compute.
        """
        if not self._in_place:
            return [], []
        try:
            given_back = prove(graph_module)
        except Unsafe as error:
            raise Unproved(str(error)) from error
        return given_back, list(dict.fromkeys(TOLD.format(source_line(node)) for node in decisions(graph_module)))

    def put_back(self) -> None:
        """The user's functions are what they were."""
        while self._in_place:
            function, copied = self._in_place.pop()
            if function.__code__ is copied.code:
                function.__code__ = copied.original

    @contextlib.contextmanager
    def _copies_in_place(self) -> Iterator[None]:
        try:
            for copied in self._copies.values():
                for function in _functions_of(copied.original):
                    self._in_place.append((function, copied))
                    function.__code__ = copied.code
            yield
        finally:
            self.put_back()

    def _learn(self, code: types.CodeType, place: Any) -> tuple[str, frozenset[Key]] | None:
        """Rewrite the conditional at ``place`` too."""
        known = next((copied for copied in self._copies.values() if _holds(copied.code, code)), None)
        original = known.original if known is not None else _outermost(code)
        if original is None or is_library(original.co_filename):
            return None
        source = known.source if known is not None else definition_of(original)
        if source is None:
            return None
        those = known.those if known is not None else frozenset()
        where = place.lineno, place.col_offset, place.end_lineno, place.end_col_offset
        found = deciding(source.tree, where, those)
        if not found or (original.co_filename, found) in self._refused:
            return None
        try:
            made = compiled(rewritten(source.tree, those | found), source, original)
        except CannotRewrite:
            return None
        if made is None:
            return None
        self._copies[id(original)] = _Copy(original, source, those | found, made)
        return original.co_filename, found


def _is_about_branches(error: Exception) -> bool:
    """Whether a capture failed, and not what was made of it."""
    inner = torch_internals.backend_failure(error)
    return isinstance(inner, Unproved) or (inner is None and isinstance(error, torch_internals.capture_errors()))


def _functions_of(code: types.CodeType) -> list[types.FunctionType]:
    return [f for f in gc.get_referrers(code) if type(f) is types.FunctionType and f.__code__ is code]


def _holds(code: types.CodeType, inner: types.CodeType) -> bool:
    """Whether ``inner`` is made in ``code``, or is it; Dynamo may have taken it from another code that is equal."""
    return (code == inner and code.co_filename == inner.co_filename) or any(
        _holds(constant, inner) for constant in code.co_consts if isinstance(constant, types.CodeType)
    )


def _outermost(code: types.CodeType) -> types.CodeType | None:
    """``code``, or, where there is no function of it yet, the code of the nearest function that makes one."""
    if _functions_of(code):
        return code
    functions = (f for f in gc.get_objects() if type(f) is types.FunctionType)
    around = {f.__code__ for f in functions if f.__code__.co_filename == code.co_filename and _holds(f.__code__, code)}
    nearest = (each for each in around if not any(other is not each and _holds(each, other) for other in around))
    return next(nearest, None)
