"""Calls a captured function: a hit checks every guard and runs the captured code, a miss goes through Dynamo.

Dynamo's own way from a call to the captured code costs some ten microseconds, its guard tree about one. The tree is
checked in full at every call; only the way there is shorter.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import types
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.identity_tests import names_asked_about
from tessera.backend.unsafe_graphs import largest_float
from tessera.capture.assumptions import NOTHING_KNOWN, Circumstances, assumptions_of
from tessera.capture.branches.attempt import Branches, Unproved
from tessera.capture.branches.giving_back import giving_back, with_decisions
from tessera.capture.circles import Circles
from tessera.capture.float_watch import LARGEST, FloatWatch, refuse_odd_floats
from tessera.capture.hook_watch import HookWatch
from tessera.capture.identity_watch import OTHER_OBJECTS, IdentityWatch, may_be_one
from tessera.capture.left_alone import codes_to_leave_alone, users_functions
from tessera.capture.name_watch import NameWatch
from tessera.capture.step_down import NotCaptured, RunsEagerly, RunsEagerlyOnce
from tessera.capture.unfit import refuse_noting_arguments, why_unfit
from tessera.errors import SourceLine
from tessera.program import Report, StepDown
from tessera.random.state import get_state, set_state
from tessera.users_code import is_tesseras, source_line_at


def _weak(function: Callable[..., Any]) -> Callable[..., Any]:
    """Dynamo keeps what it was given for good; a bound method would keep its object, and a model with it."""
    if not isinstance(function, types.MethodType):
        return function
    method = weakref.WeakMethod(function)

    def called(*args: Any) -> Any:
        alive = method()
        if alive is None:
            raise ReferenceError("what this capture belongs to is gone")
        return alive(*args)

    return called


def _nothing(*_: Any) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def _refuse(args: Sequence[Any]) -> None:
    if not torch_internals.cpp_compiler():
        raise RunsEagerly("no working C++ compiler was found", "Install g++ (Debian: apt install g++).")
    owned = [p for a in args if isinstance(a, torch.nn.Module) for p in a.parameters()]
    if torch_internals.fake_mode_of([*torch_internals.tensors_in(args), *owned]):
        raise RunsEagerly("an input is a FakeTensor, which holds no data")


_numbers = itertools.count()

GIVEN_UP = "it was captured too often, each time for other values, the last time because of {}"
_STAY = "Pass what changes as a tensor, or leave it out of the compiled function."

# A captured version, the function that runs it, whether it does nothing but call its graph, and the floats it read.
_Hit = tuple[torch_internals.GuardedCode, Callable[..., Any], bool, FloatWatch]


@dataclass(frozen=True)
class Capture:
    """A captured version of a function: Dynamo's code for it, that code's globals, and what it was made under.

    Attributes:
        only_calls: whether the code does nothing but call one compiled graph.
    """

    code: types.CodeType
    names: dict[str, Any]
    circumstances: Circumstances
    only_calls: bool


@torch_internals.left_alone
def only_captured() -> None:
    """The first line of a function that a ``Dispatch`` captures.

    A frame that Dynamo leaves alone runs, and only then is it an error that it was to be captured whole: what it does
    would be done twice.

    Raises:
        NotCaptured: it runs as plain Python, and was to be captured whole.
    """
    if not torch.compiler.is_compiling() and _whole_only.get():
        raise NotCaptured("Dynamo leaves the function alone")


_whole_only = ContextVar("_whole_only", default=False)


class Dispatch:
    """A function behind Dynamo with a shorter way for calls that were captured before.

    ``misses`` counts the calls that were none of these, ``in_pieces`` those that were not captured whole.

    Args:
        function: a plain function with positional parameters only, no closure and no defaults.
        bind: a function of the same parameters that returns its ``locals()``: what the guards look at.
        backend: a torch.compile backend.
        whole: raise when the function cannot be captured in one piece, instead of breaking it up.
        data: position of the first argument that is data, and not what the data are given to.
        around: is given the arguments of a call that is captured, and is what the capture happens in.
        report: is told where both branches of a conditional are compiled.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        bind: Callable[..., dict[str, Any]],
        backend: Callable[..., Any],
        *,
        whole: bool,
        data: int = 1,
        around: Callable[..., AbstractContextManager[None]] = _nothing,
        report: Report | None = None,
    ) -> None:
        # A code object of its own, for Dynamo keeps captures, and counts them against its limit, for each code object;
        # and a name of its own, for by that it remembers which sizes have changed, whichever model they were seen in.
        code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
        self._function = types.FunctionType(code, function.__globals__, function.__name__)
        # Dynamo keeps every code object it has seen, with its captures; a capture may hold a model.
        weakref.finalize(self, torch_internals.forget_captures, code).atexit = False
        self._bind = bind
        self._data, self._around = data, around
        self._whole = whole
        self._watch = HookWatch(code.co_varnames[0])
        self._names = NameWatch()
        self._backend = _weak(backend)
        self._compile_with = _weak(self._compile_graph), _weak(self._needed)
        self._branches, self._guarded, self._report = Branches(), False, report
        self.misses, self.in_pieces = 0, 0
        self._hits: list[_Hit] = []
        self._codes: set[types.CodeType] = set()
        self._circles = Circles()
        self._in_pieces: set[int] = set()  # the ids of codes that call what Dynamo broke up
        self._made_under: dict[int, Circumstances] = {}  # by the ids of their codes, of which some cannot be hashed
        self._assumptions, self._floats = NOTHING_KNOWN, FloatWatch((), {})
        self._given_up: list[SourceLine | None] = []  # the functions that are no longer captured
        self._unfit = ""  # why nothing is captured
        self._asks: frozenset[str] = frozenset()  # about which names it is asked whether they are one object
        self._changed: frozenset[int] = frozenset()  # the ids of what the latest capture changes
        self._largest, self._has_graph = LARGEST, False

    def __call__(self, *args: Any) -> Any:
        if self.misses and not (self._watch.holds() and self._names.holds()):
            self.forget()
        if self._hits:
            values = self._bind(*args)
            for guarded, run, _, floats in self._hits:
                if guarded.wrapper.cache_entry is not None and guarded.check(values):
                    if reason := floats.refuses(values):
                        raise RunsEagerlyOnce(reason)
                    return run(*args)
        if self._unfit:
            raise RunsEagerly(self._unfit)
        refuse_odd_floats(args[self._data :])
        self.misses += 1
        _refuse(args)
        if self._known_in_pieces(*args):  # it was looked at when the pieces were made
            with self._circles.let_go(), torch_internals.capturing(whole=False), self._around(*args):
                result = self._in_several(*args)
            self._names.settle()
            return result
        called = list(users_functions(args[: self._data]))
        self._unfit = why_unfit(called, args[: self._data], whole=self._whole)
        if self._unfit:
            raise RunsEagerly(self._unfit)
        refuse_noting_arguments(args[self._data :])
        self._asks = names_asked_about(function.__code__ for function in called)
        self._has_graph = False
        looking = codes_to_leave_alone(called)
        torch_internals.leave_alone_codes(looking, all_they_call=False)
        torch_internals.renew_imports()
        self._watch.begin(args[0])
        self._assumptions, self._floats = NOTHING_KNOWN, FloatWatch((), {})
        process = torch_internals.process_state()
        self._before = get_state(), torch_internals.forward_mode_level()
        with self._circles.let_go(), torch_internals.capturing(whole=self._whole), self._around(*args):
            try:
                result = self._captured(*args)
            finally:
                self._note_given_up()
        self._names.settle()
        read = {id(guarded.code): floats for guarded, _, _, floats in self._hits}
        self._hits = [
            self._hit(guarded, read.get(id(guarded.code), self._floats))
            for guarded in torch_internals.guarded_codes(self._function.__code__)
            if self._is_whole(guarded)
        ]
        known = self._made_under
        self._made_under = {
            id(guarded.code): known.get(id(guarded.code))
            or Circumstances(self._assumptions, process, args[self._data :])
            for guarded, *_ in self._hits
        }
        return result

    def _captured(self, *args: Any) -> Any:
        if self._whole:
            return self._branches.capture(lambda: self._in_one_piece(*args))
        if self._branches.hopeful:
            self._guarded = False
            try:
                self._circles.attempt()
                with torch_internals.capturing(whole=True):
                    return self._branches.capture(lambda: self._in_one_piece(*args))
            except Exception:
                if self._guarded:  # it was captured, and raised when it ran
                    raise
            self._circles.attempted()
            self._branches.failed()
            torch_internals.graph_breaks()
            self.take_back()
        return self._in_several(*args)

    def _in_several(self, *args: Any) -> Any:
        self.in_pieces += 1
        before, breaks = self._ids_of_codes(), torch_internals.break_count()
        try:
            return self._broken_up(*args)
        finally:
            if torch_internals.break_count() != breaks:
                self._in_pieces |= self._ids_of_codes() - before

    def _ids_of_codes(self) -> set[int]:
        return {id(guarded.code) for guarded in torch_internals.guarded_codes(self._function.__code__)}

    def _is_whole(self, guarded: torch_internals.GuardedCode) -> bool:
        """Whether a captured version needs no second look by Dynamo.

        One that does nothing but call the function, which is in pieces, has nothing to resume and does not show it.
        """
        return torch_internals.is_whole(guarded.code) and id(guarded.code) not in self._in_pieces

    def _known_in_pieces(self, *args: Any) -> bool:
        """Whether Dynamo would run the first of some pieces that it has, and only then say that they are several."""
        values = self._bind(*args) if self.in_pieces else {}
        return bool(values) and any(
            guarded.code is not None and not self._is_whole(guarded) and guarded.check(values)
            for guarded in torch_internals.guarded_codes(self._function.__code__)
        )

    def _in_one_piece(self, *args: Any) -> Any:
        token = _whole_only.set(True)
        try:
            return self._unbroken(*args)
        finally:
            _whole_only.reset(token)

    @functools.cached_property
    def _unbroken(self) -> Callable[..., Any]:
        return self._compile(fullgraph=True)

    def _compile(self, *, fullgraph: bool) -> Callable[..., Any]:
        """Loads the compiler, which what was loaded from a file may never need."""
        backend, needed = self._compile_with
        options: dict[str, Any] = {"guard_filter_fn": needed}  # each time another: torch.compile takes it out
        return torch.compile(self._function, fullgraph=fullgraph, backend=backend, options=options)

    @functools.cached_property
    def _broken_up(self) -> Callable[..., Any]:
        return self._compile(fullgraph=False)

    def _compile_graph(self, graph_module: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        try:
            traced = torch_internals.traced()
            self._codes |= traced.codes
            torch_internals.guard_aliases()
            torch_internals.guard_absences()
            torch_internals.guard_orders()
            self._names.see(traced)
            self._largest, self._has_graph = largest_float(graph_module), True
            self._changed = torch_internals.changed_objects()
            self._asks |= names_asked_about(traced.codes)
            piece = traced.frame is not self._function.__code__
            if piece and self._asks and may_be_one(list(traced.variables.values())):  # no guards are shown of it
                self._leave_alone(OTHER_OBJECTS)
            given_back, both_ways = self._branches.check(graph_module)
            if given_back:
                if self._whole:
                    raise Unproved("a branch returns what was given, and it is returned")
                with_decisions(graph_module, given_back)
            before = len(self._report.compilations) if self._report else 0
            self._circles.is_traced(len(graph_module.graph.nodes))
            compiled = giving_back(self._backend(graph_module, inputs), given_back)
            for compilation in self._report.compilations[before:] if self._report else ():
                compilation.notes += both_ways
            return compiled
        finally:
            self._branches.put_back()

    def _needed(self, guards: Sequence[torch_internals.Guard]) -> list[bool]:
        """Which guards a capture needs; they are put down in words too, for ``captures``."""
        if not self._has_graph:  # nothing is computed, and nobody looked at what Dynamo does not guard
            raise torch_internals.leave_alone()
        self._has_graph = False
        self._names.see_guards(guards)
        whole = _whole_only.get()
        needed = self._watch.needed(guards) if whole else [True] * len(guards)  # a piece has arguments of its own
        names = self._function.__globals__
        self._floats = FloatWatch(guards, names, self._largest)
        if self._asks or self._changed:
            self._floats = watch = IdentityWatch(guards, names, self._largest, self._asks, self._changed)
            if reason := watch.cannot_hold(whole=whole):
                self._leave_alone(reason)
        self._assumptions = assumptions_of([guard for guard, keep in zip(guards, needed, strict=True) if keep])
        self._guarded = True
        return needed

    def _note_given_up(self) -> None:
        """Have the Report say, once for each function, which ones were captured too often."""
        for file, line, changed in torch_internals.given_up():
            where = None if is_tesseras(file) else source_line_at(file, line)
            if self._report is not None and where not in self._given_up:
                self._given_up.append(where)
                self._report.add(StepDown("eager", GIVEN_UP.format(changed), _STAY, where))

    def _leave_alone(self, reason: str) -> NoReturn:
        """Have Dynamo run the frame that it captures as it is."""
        if self._report is not None:
            self._report.add(StepDown("eager", reason))
        raise torch_internals.leave_alone()

    def _hit(self, guarded: torch_internals.GuardedCode, floats: FloatWatch) -> _Hit:
        names = self._function.__globals__
        torch_internals.call_directly(guarded, names)
        run = types.FunctionType(guarded.code, names, self._function.__name__)
        return guarded, run, torch_internals.only_calls_its_graph(guarded.code), floats

    def captures(self) -> list[Capture]:
        """All captured versions that hold still, the latest used first."""
        names = self._function.__globals__
        return [
            Capture(guarded.code, names, self._made_under[id(guarded.code)], only_calls)
            for guarded, _, only_calls, _ in self._hits
            if guarded.wrapper.cache_entry is not None
        ]

    @property
    def watch(self) -> HookWatch:
        """Whether hooks were registered since."""
        return self._watch

    @property
    def captured(self) -> bool:
        """Whether some call could be captured."""
        return bool(self._hits)

    def pure(self, *args: Any) -> Callable[..., Any] | None:
        """The captured code for these arguments, if it was captured before and only calls its graph."""
        values = self._bind(*args)
        for guarded, run, only_calls, floats in self._hits if self._watch.holds() and self._names.holds() else ():
            if guarded.wrapper.cache_entry is not None and guarded.check(values):
                return run if only_calls and not floats.refuses(values) else None
        return None

    def take_back(self) -> None:
        """Random numbers and forward-mode levels as they were before the last call, which was none of a capture."""
        state, level = self._before
        set_state(state)
        torch_internals.leave_forward_mode(level)

    def forget(self) -> None:
        """Drop all captures: the next call captures anew."""
        for code in (self._function.__code__, *self._codes):  # pieces are captures of functions inside
            torch_internals.forget_captures(code)
        self._names.forget()
        self._codes, self._in_pieces = set(), set()
        self._hits, self._made_under = [], {}
