"""Where every tensor of a trace came from, and from there the line at which a wrong size was born.

h = self.fc1(x)      # ["B", "S", 512] -> ["B", "S", 256]: here 512 is lost and 256 is born
h = h.relu()
y = self.fc2(h)      # takes 512: here it hurts
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode

from tessera import torch_internals
from tessera.check.call import Call, refuse
from tessera.check.constructors import running_module
from tessera.check.known_results import KnownResults
from tessera.check.recurrent import shortened
from tessera.check.rewrites import Rewrite
from tessera.check.stand_ins import stand_in
from tessera.check.world import TakesTooLong, World
from tessera.errors import SourceLine
from tessera.users_code import is_installed, source_line_at, users_frames

Site = tuple[CodeType, int, int]  # of a call: the user's code, the instruction in it, and the layer that is called

# What makes a plain number of a tensor: a condition that asks for it is the user's own.
_READ_DATA = {"__bool__", "__int__", "__float__", "__index__", "item", "tolist", "is_nonzero"}

_DISTRIBUTIONS = "/torch/distributions/"

_KNOWN = KnownResults()
_TAKE_APART = {"__iter__", "unbind"}  # into as many tensors as the size is


class History(TorchFunctionMode):
    """While it is entered, notes which call made each tensor.

    Attributes:
        calls: all of them.
        failing: the call that is running, or that raised.
        squeezed: calls of ``squeeze()`` that would drop a declared size where it is 1.
    """

    def __init__(self, world: World, rewrite: tuple[Site, Rewrite] | None = None) -> None:
        super().__init__()
        self._world = world
        self._rewrite = rewrite
        self.calls: list[Call] = []
        self._made_by: dict[int, Call] = {}
        self._kept: list[torch.Tensor] = []  # an id is one tensor's only as long as the tensor lives
        self.failing: Call | None = None
        self.squeezed: list[tuple[SourceLine, list[str]]] = []
        self._outermost: FrameType | None = None
        self._lines: set[SourceLine] = set()

    def __enter__(self) -> Self:
        self._outermost = sys._getframe(1)  # noqa: SLF001 - the documented way
        super().__enter__()
        return self

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._world.bare:
            self._world.work.spend()  # nobody else counts it
        if self._world.work.is_over():  # only here: what is raised inside of an operation ends the process
            raise TakesTooLong
        tensors = torch_internals.tensors_in((args, kwargs))
        carried = [t for t in tensors if not isinstance(t, torch.nn.Parameter)]
        # What holds data (weights, buffers) is stood for by what holds none: nothing in it is to be changed.
        args, kwargs = torch_internals.on_leaves(self._without_data, (args, kwargs))
        frame = sys._getframe(1)  # noqa: SLF001 - the documented way
        site, where, of_layer = _site_of(frame)
        if where is not None and where not in self._lines:
            self._lines.add(where)
            self._world.work.has_news()
        rewrite = self._rewrite[1] if self._rewrite is not None and self._rewrite[0] == site else None
        if rewrite is not None:
            func, args, kwargs = rewrite.pieces((func, args, kwargs))
        call = Call(func, args, kwargs, where, carried, site=site, of_layer=of_layer)
        if len(carried) < len(tensors):
            call.module = running_module(frame)
        self.calls.append(call)
        before, self.failing = self.failing, call
        refuse(call, self._world)
        if call.name in _TAKE_APART and any(isinstance(size, torch.SymInt) for t in tensors for size in t.shape[:1]):
            self._world.becomes_number()
        self._world.reading_data = call.name in _READ_DATA
        self._world.torch_is_told = _told(frame, of_layer=of_layer) if call.name == "__bool__" else None
        self._world.takes_numbers = call.name.startswith("fft_")
        try:
            result = self._called(func, args, kwargs, frame)
        finally:
            self._world.reading_data, self._world.torch_is_told = False, None
        if rewrite is not None:
            result = rewrite.after(result)
        call.result = result
        self.failing = before
        if isinstance(result, torch.Tensor):
            self._note(result, call)
        elif isinstance(result, (tuple, list, dict)):
            for tensor in torch_internals.tensors_in(result):
                self._note(tensor, call)
        return result

    def _called(self, func: Any, args: Any, kwargs: Any, frame: FrameType) -> Any:
        func = stand_in(func)
        short, recording = shortened(func, args, kwargs), self._world.recording
        if self._world.bare:
            if self._world.torch_is_told is not None:
                return self._world.torch_is_told
            return _KNOWN.of(func, args, kwargs, functools.partial(short, *args, **kwargs))
        if not recording.is_usable:
            return short(*args, **kwargs)
        if short is not func:
            recording.give_up()
        with recording.of_call(torch_internals.python_lines(func, frame, self._outermost)):
            return short(*args, **kwargs)

    def _without_data(self, value: Any) -> Any:
        return self._world.without_data(value) if isinstance(value, torch.Tensor) else value

    def _note(self, tensor: torch.Tensor, call: Call) -> None:
        if any(tensor is given for given in call.tensors):  # in place, or handed through
            return
        self._made_by[id(tensor)] = call
        self._kept.append(tensor)
        if call.name == "squeeze" and len(call.args) == 1 and not call.kwargs and call.where is not None:
            left = [
                text for size in tensor.shape if isinstance(size, torch.SymInt) for text in [self._world.text(size)]
            ]
            if left:
                self.squeezed.append((call.where, left))

    def __len__(self) -> int:
        return len(self._kept)

    def position(self, call: Call) -> int:
        """The number of a call among those that made tensors."""
        return next((at for at, tensor in enumerate(self._kept) if self._made_by[id(tensor)] is call), -1)

    def last_line_in(self, file: str, lines: Sequence[int]) -> int | None:
        """The first of ``lines`` at or behind the last call that was made from ``file`` between the first and last."""
        for tensor in reversed(self._kept):
            where = self._made_by[id(tensor)].where
            if where is not None and where.file == file and lines and where.line <= lines[-1]:
                return next((line for line in lines if line >= where.line), None)
        return None

    def comes_of(self, tensors: Sequence[torch.Tensor], argument: torch.Tensor) -> bool:
        """Whether one of ``tensors`` was computed from ``argument``."""
        waiting, seen = list(tensors), set[int]()
        while waiting:
            tensor = waiting.pop()
            if tensor is argument:
                return True
            if id(tensor) not in seen and (call := self.made_by(tensor)) is not None:
                waiting += call.tensors
            seen.add(id(tensor))
        return False

    def made_by(self, tensor: torch.Tensor) -> Call | None:
        """The call that made a tensor; None for arguments, parameters and constants."""
        return self._made_by.get(id(tensor))

    def born(self, tensor: torch.Tensor, axis: int, expected: Any) -> Call | None:
        """The call that gave ``tensor`` its size at ``axis`` (from the end) in place of ``expected``.

        That is the last one at which ``expected`` was lost or moved; where there never was any, the one at which the
        size that is there came to be. None where it came in as an argument.
        """
        if (outer := self.spread(tensor)) is not None:
            return outer
        same = self._world.same
        received = tensor.shape[axis] if -tensor.dim() <= axis < tensor.dim() else None
        for call, made in self._line_of_descent(tensor, lambda t: received is None or _has(t, received, same)):
            given = [t for t in call.tensors if t.dim()]
            if axis == OF_WEIGHTS.get(call.name):
                return call
            if expected is not None:
                has = [t for t in given if _has(t, expected, same)]
                if has and not _has(made, expected, same):
                    return call
                if any(_has_at(t, axis, expected, same) for t in has) and not _has_at(made, axis, expected, same):
                    return call
            if not any(received is None or _has(t, received, same) for t in given):
                return call
        return None

    def came_in_so(self, tensor: torch.Tensor, axis: int) -> bool:
        """Whether the size at ``axis`` is that of an argument at the same axis, all the way."""
        size, same = tensor.shape[axis], self._world.same
        descent = self._line_of_descent(tensor, lambda t: _has_at(t, axis, size, same))
        return all(any(_has_at(t, axis, size, same) for t in call.tensors) for call, _ in descent)

    def rank_born(self, tensor: torch.Tensor) -> Call | None:
        """The last call that gave ``tensor`` another number of dimensions than what it was made of."""
        if (outer := self.spread(tensor)) is not None:
            return outer
        for call, made in self._line_of_descent(tensor, lambda t: t.dim() == tensor.dim()):
            if all(given.dim() != made.dim() for given in call.tensors):
                return call
        return None

    def dtype_born(self, tensor: torch.Tensor) -> Call | None:
        """The last call that gave ``tensor`` another dtype than what it was made of."""
        for call, made in self._line_of_descent(tensor, lambda t: t.dtype == tensor.dtype):
            if all(given.dtype != made.dtype for given in call.tensors):
                return call
        return None

    def spread(self, tensor: torch.Tensor) -> Call | None:
        """The last call before it that laid two tensors out against each other: [B] - [B, 1] is [B, B].

        That is allowed, and is what was meant if the result is what was declared; here it is not.
        """
        waiting, seen = [tensor], set[int]()
        while waiting:
            one = waiting.pop(0)
            if id(one) in seen or (call := self.made_by(one)) is None:
                continue
            seen.add(id(one))
            if self.spreads(call):
                return call
            waiting += call.tensors
        return None

    def spreads(self, call: Call) -> bool:
        """Whether the result of a call has a size twice that neither of the tensors it was made of has twice.

        Where each has a 1 in the place where the other has none, ``a[:, None] - a[None]``, it is meant so.
        """
        if len(call.tensors) < 2 or call.name not in _ELEMENTWISE or not isinstance(call.result, torch.Tensor):
            return False
        if len({tensor.dim() for tensor in call.tensors}) == 1:
            return False
        made = call.result
        twice = [s for n, s in enumerate(made.shape) if any(self._world.same(s, t) for t in made.shape[:n])]
        return any(all(self._times(s, t) < self._times(s, made) for t in call.tensors) for s in twice)

    def _times(self, size: Any, tensor: torch.Tensor) -> int:
        return sum(self._world.same(size, other) for other in tensor.shape)

    def _line_of_descent(
        self, tensor: torch.Tensor, carries: Callable[[torch.Tensor], bool]
    ) -> Iterator[tuple[Call, torch.Tensor]]:
        """The call that made ``tensor`` and what it made; then that of the operand that ``carries``, and so on."""
        seen: set[int] = set()
        while (call := self.made_by(tensor)) is not None and id(call) not in seen:
            seen.add(id(call))
            yield call, tensor
            if (before := next((t for t in call.tensors if t.dim() and carries(t)), None)) is None:
                return
            tensor = before


def _told(asks: FrameType, *, of_layer: bool) -> bool | None:
    """What torch's Python is told where it asks for data: a mask is no usual one, parameters are as they should be."""
    if _DISTRIBUTIONS in asks.f_code.co_filename:
        return True
    return False if of_layer else None


def _site_of(frame: FrameType) -> tuple[Site | None, SourceLine | None, bool]:
    """Where in the user's code a call was made, its line, and whether a layer of torch made it that is called there."""
    users = next(users_frames(frame), None)
    if users is None:
        return None, None, False
    where = source_line_at(users.f_code.co_filename, users.f_lineno)
    between: FrameType | None = frame
    while between is not None and between is not users:
        if between.f_code.co_name == "_call_impl":
            return (users.f_code, users.f_lasti, id(running_module(frame))), where, True
        if is_installed(between.f_code.co_filename):  # a package makes many calls for one of the user's
            return None, where, False
        between = between.f_back
    return (users.f_code, users.f_lasti, 0), where, False


OF_WEIGHTS = {"linear": -1, "conv1d": -2, "conv2d": -3, "conv3d": -4}  # the axis that a layer makes anew
_ELEMENTWISE = {
    f"{r}{name}{u}" for name in ("add", "sub", "mul", "truediv", "pow") for r in ("", "__", "__r") for u in ("", "__")
}
_ELEMENTWISE |= {
    "div",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "__eq__",
    "__lt__",
    "__gt__",
    "maximum",
    "minimum",
    "where",
    "rsub",
}


def _has(tensor: torch.Tensor, size: Any, same: Callable[[Any, Any], bool]) -> bool:
    return any(same(other, size) for other in tensor.shape)


def _has_at(tensor: torch.Tensor, axis: int, size: Any, same: Callable[[Any, Any], bool]) -> bool:
    return -tensor.dim() <= axis < tensor.dim() and same(tensor.shape[axis], size)
