"""Where every tensor of a trace came from, and from there the line at which a wrong size was born.

h = self.fc1(x)      # ["B", "S", 512] -> ["B", "S", 256]: here 512 is lost and 256 is born
h = h.relu()
y = self.fc2(h)      # takes 512: here it hurts
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from tessera import torch_internals
from tessera.check.world import World
from tessera.errors import SourceLine
from tessera.users_code import users_line

# What makes a plain number of a tensor: a condition that asks for it is the user's own.
_READ_DATA = {"__bool__", "__int__", "__float__", "__index__", "item", "tolist", "is_nonzero"}


@dataclass
class Call:
    """One call of torch from the user's code.

    Attributes:
        function: what was called.
        args, kwargs: with what.
        where: the user's line.
        tensors: those among the arguments, parameters of layers left out.
    """

    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: dict[str, Any]
    where: SourceLine | None
    tensors: list[torch.Tensor] = field(default_factory=list)

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", str(self.function))


class History(TorchFunctionMode):
    """While it is entered, notes which call made each tensor.

    Attributes:
        failing: the call that is running, or that raised.
        squeezed: calls of ``squeeze()`` that would drop a declared size where it is 1.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._made_by: dict[int, Call] = {}
        self._kept: list[torch.Tensor] = []  # an id is one tensor's only as long as the tensor lives
        self.failing: Call | None = None
        self.squeezed: list[tuple[SourceLine, list[str]]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = torch_internals.tensors_in((args, kwargs))
        carried = [t for t in tensors if not isinstance(t, torch.nn.Parameter)]
        # What holds data (weights, buffers) is stood for by what holds none: nothing in it is to be changed.
        args, kwargs = torch_internals.on_leaves(self._without_data, (args, kwargs))
        call = Call(func, args, kwargs, users_line(sys._getframe(1)), carried)  # noqa: SLF001 - the documented way
        before, self.failing = self.failing, call
        self._world.reading_data = call.name in _READ_DATA
        try:
            result = func(*args, **kwargs)
        finally:
            self._world.reading_data = False
        self.failing = before
        if isinstance(result, torch.Tensor):
            self._note(result, call)
        elif isinstance(result, (tuple, list, dict)):
            for tensor in torch_internals.tensors_in(result):
                self._note(tensor, call)
        return result

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

    def rank_born(self, tensor: torch.Tensor) -> Call | None:
        """The last call that gave ``tensor`` another number of dimensions than what it was made of."""
        seen: set[int] = set()
        while (call := self.made_by(tensor)) is not None and id(call) not in seen:
            seen.add(id(call))
            alike = [given for given in call.tensors if given.dim() == tensor.dim()]
            if not alike:
                return call
            tensor = alike[0]
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
        same = self._world.same
        received = tensor.shape[axis] if -tensor.dim() <= axis < tensor.dim() else None
        seen: set[int] = set()
        while (call := self.made_by(tensor)) is not None and id(call) not in seen:
            seen.add(id(call))
            given = [t for t in call.tensors if t.dim()]
            has = [t for t in given if expected is not None and any(same(size, expected) for size in t.shape)]
            still = expected is not None and any(same(size, expected) for size in tensor.shape)
            if has and not still:
                return call
            if has and still and any(_has_at(t, axis, expected, same) for t in has):
                return call
            carrying = [t for t in given if received is None or any(same(size, received) for size in t.shape)]
            at_place = [t for t in carrying if received is not None and _has_at(t, axis, received, same)]
            if not carrying:
                return call
            tensor = (at_place or carrying)[0]
        return None


def _has_at(tensor: torch.Tensor, axis: int, size: Any, same: Callable[[Any, Any], bool]) -> bool:
    return -tensor.dim() <= axis < tensor.dim() and same(tensor.shape[axis], size)
