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
from typing import TypeVar

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
_Learnt = tuple[str, frozenset[Key]]  # conditionals of one function, and their file
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
        self._refused: set[_Learnt] = set()
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
        before, tried = dict(self._copies), set[_Learnt]()
        while True:
            try:
                with self._copies_in_place():
                    return attempt()
            except Exception as error:
                stop = torch_internals.stopped_by_value(error)
                first = first or error
                learnt = self._learn(*stop) if stop is not None and len(tried) < _ROUNDS else set()
                if not learnt:
                    if not (tried and _is_about_branches(error)):
                        raise
                    self._copies, self._refused = before, self._refused | tried
                    raise first from None
                tried |= learnt

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

    def _learn(self, file: str, function: str, line: int) -> set[_Learnt]:
        """Rewrite the conditionals on ``line`` too."""
        learnt = set()
        known = [copied for copied in self._copies.values() if _runs(copied.code, file, function, line)]
        unknown = () if known else map(_unchanged, _codes_at(file, function, line))
        for copied in (*known, *filter(None, unknown)):
            found = deciding(copied.source.tree, line, copied.those)
            if not found or (file, found) in self._refused:
                continue
            try:
                tree = rewritten(copied.source.tree, copied.those | found)
            except CannotRewrite:
                continue
            if (made := compiled(tree, copied.source, copied.original)) is not None:
                new = _Copy(copied.original, copied.source, copied.those | found, made)
                self._copies[id(copied.original)] = new
                learnt.add((file, found))
        return learnt


def _is_about_branches(error: Exception) -> bool:
    """Whether a capture failed, and not what was made of it."""
    inner = torch_internals.backend_failure(error)
    return isinstance(inner, Unproved) or (inner is None and isinstance(error, torch_internals.capture_errors()))


def _functions_of(code: types.CodeType) -> list[types.FunctionType]:
    return [f for f in gc.get_referrers(code) if type(f) is types.FunctionType and f.__code__ is code]


def _unchanged(code: types.CodeType) -> _Copy | None:
    source = None if is_library(code.co_filename) else definition_of(code)
    return None if source is None else _Copy(code, source, frozenset(), code)


def _runs(code: types.CodeType, file: str, function: str, line: int) -> bool:
    """Whether ``line`` is one of ``function``, which is made in ``code`` or has it."""
    if code.co_filename != file:
        return False
    if code.co_name == function and any(line == each for _, _, each in code.co_lines()):
        return True
    return any(_runs(inner, file, function, line) for inner in code.co_consts if isinstance(inner, types.CodeType))


def _codes_at(file: str, function: str, line: int) -> list[types.CodeType]:
    """The codes of functions that there are, in which ``function`` is made, or which have it; the nearest ones."""
    codes = {id(f.__code__): f.__code__ for f in gc.get_objects() if type(f) is types.FunctionType}.values()
    around = [code for code in codes if _runs(code, file, function, line)]
    return [code for code in around if not any(_holds(code, other) for other in around if other is not code)]


def _holds(code: types.CodeType, inner: types.CodeType) -> bool:
    constants = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return any(constant is inner or _holds(constant, inner) for constant in constants)
