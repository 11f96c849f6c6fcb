"""Which functions of the user's a run goes through, what their names stood for, and which line made each module."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from torch import nn

from tessera.users_code import is_library, users_frames

Place = tuple[str, int, str]  # of a function: its file, first line, and qualified name


def place_of_code(code: CodeType) -> Place:
    """The same for a function and for one that was compiled of its text again."""
    return code.co_filename, code.co_firstlineno, code.co_qualname


@dataclass
class Visit:
    """What was seen.

    Attributes:
        names: of each function its local names when it was left, those of the last time; and numbers of its module.
        made: modules, each with the file, line and instruction of the user's that made it.
    """

    names: dict[Place, dict[str, Any]] = field(default_factory=dict)
    made: list[tuple[nn.Module, tuple[str, int, int]]] = field(default_factory=list)

    def made_by(self, root: nn.Module) -> dict[str, tuple[str, int, int]]:
        """The lines that made the parts of ``root``, by their paths."""
        by_id = {id(module): where for module, where in self.made}
        return {path: by_id[id(part)] for path, part in root.named_modules() if path and id(part) in by_id}


def _but(some: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in some.items() if name not in known}


@contextmanager
def visited() -> Iterator[Visit]:
    """Within, what the user's code goes through is noted."""
    seen = Visit()
    makes: Any = nn.Module.__init__
    numbers: dict[int, dict[str, Any]] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "return" and not is_library(frame.f_code.co_filename):
            outer = frame.f_globals
            if id(outer) not in numbers:
                numbers[id(outer)] = {n: v for n, v in outer.items() if type(v) is int and n[0] != "_"}
            seen.names[place_of_code(frame.f_code)] = {**frame.f_locals, **_but(numbers[id(outer)], frame.f_locals)}
        elif event == "call" and frame.f_code is makes.__code__:
            module = frame.f_locals["self"]
            outside = (one for one in users_frames(frame) if one.f_locals.get("self") is not module)
            if (by := next(outside, None)) is not None:
                seen.made.append((module, (by.f_code.co_filename, by.f_lineno, by.f_lasti)))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(before)
