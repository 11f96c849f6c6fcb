"""Times every kernel and library call of a compiled Program, while a profile is on.

The wrapper that Inductor wrote is compiled once more, with a look at the clock before and after each call:

    extern_kernels.mm(a, b, out=buf3)            begin = clock()
                                        ---->    extern_kernels.mm(a, b, out=buf3)
                                                 events.append((begin, clock()))

It runs in the names of the first one, so on the same kernels. Without a profile nothing of this exists.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tessera import torch_internals
from tessera.backend.inductor import Executable
from tessera.backend.wrapper_walk import called

LARGEST = 512  # runs whose times are held; of more, every second one is dropped again and again

Event = tuple[float, float]  # begin and end in seconds


@dataclass(frozen=True)
class Run:
    """One run of a compiled Program: begin and end in seconds of ``time.perf_counter``, and its calls in order.

    A wrapper is straight-line code, so the order is that of the records in its ``Compilation``.
    """

    begin: float
    end: float
    events: list[Event]


class TimedWrapper:
    """The times of one compiled Program between ``start`` and ``stop``.

    Attributes:
        runs: those that are held.
        seen: how many there were.
        counting: whether runs are timed, or only kept out of the sight of what watches around them.
    """

    def __init__(self, executable: Executable) -> None:
        self.executable = executable
        self.runs: list[Run] = []
        self.seen = 0
        self.counting = True
        self._plain = executable.call, executable.native
        self._every = 1
        self._events: list[Any] = []
        self._names: dict[str, Any] = {}
        self._call = torch_internals.without_gradients(self._timed_call())

    def start(self) -> None:
        """Time calls from now on. A loop in C is not taken meanwhile."""
        self.executable.call, self.executable.native = self._run, None

    def stop(self) -> None:
        """Leave the Program as it was."""
        self.executable.call, self.executable.native = self._plain

    def _run(self, inputs: list[Any]) -> Sequence[Any]:
        events: list[Any] = []
        self._names["_events"] = events
        with torch_internals.outside_of_modes():
            begin = time.perf_counter()
            results = self._call(inputs)
            end = time.perf_counter()
        if not self.counting:
            return results
        if self.seen % self._every == 0:
            self.runs.append(Run(begin, end, events))
            if len(self.runs) == LARGEST:
                del self.runs[1::2]
                self._every *= 2
        self.seen += 1
        return results

    def _timed_call(self) -> Callable[[list[Any]], Sequence[Any]]:
        wrapper = self.executable.wrapper
        if not wrapper.source:
            return wrapper.call
        tree = ast.parse(wrapper.source)
        _Clocked().visit(tree)
        # The kernels are there already: of the module, the functions alone are run anew.
        tree.body = [part for part in tree.body if isinstance(part, (ast.FunctionDef, ast.ClassDef))]
        self._names = {**wrapper.names, "_clock": time.perf_counter, "_events": []}
        code = compile(ast.fix_missing_locations(tree), "<timed wrapper>", "exec")
        exec(code, self._names)  # noqa: S102 - what Inductor wrote, which runs anyway
        if "Runner" in self._names and "call" not in {getattr(part, "name", "") for part in tree.body}:
            return self._names["Runner"](partitions=[]).call
        return self._names["call"]


class _Clocked(ast.NodeTransformer):
    """Puts the two looks at the clock around each call."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        body: list[ast.stmt] = []
        for statement in node.body:
            if called(statement) is None:
                body.append(statement)
            else:
                after = "_events.append((_begin, _clock()))"
                body += [*ast.parse("_begin = _clock()").body, statement, *ast.parse(after).body]
        node.body = body
        return node
