"""Where an operation stands: the user's line and the part of it that runs, the layer, and what the result is called.

All of it is read off Python's own stack, so nothing has to be registered anywhere: the call of a module is a frame of
torch's `Module._call_impl`, and code objects know the columns of every instruction (PEP 657).
"""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

from tessera import torch_internals
from tessera.debug.layers import path_of
from tessera.errors import SourceLine
from tessera.users_code import is_library

_TORCH = Path(torch.__file__).parent
_ENGINE = str(_TORCH / "autograd" / "graph.py")
_CHECKPOINT = str(_TORCH / "utils" / "checkpoint.py")
_PRINTING = str(_TORCH / "_tensor_str.py")
_OPTIMIZERS = tuple(f"{folder / 'optim'}/" for folder in (_TORCH, Path(__file__).parents[1]))
_DEBUGGERS = ("/bdb.py", "/pdb.py", "/code.py")
_TYPED = ("<stdin>", "<string>", "<ipython", "<doctest", "<console>")


@dataclass(frozen=True)
class Place:
    """Where one operation was asked for.

    Attributes:
        where: the user's line; None where no code of the user's is on the stack.
        expression: the part of that line that runs, such as ``torch.log(p)``.
        name: of the variable that the expression is assigned to, or "".
        layer: path of the innermost module, such as ``blocks.3.attn``; "" outside of modules and in the outermost.
        model: class of the outermost module, or "".
        function: that the line stands in.
    """

    where: SourceLine | None
    expression: str = ""
    name: str = ""
    layer: str = ""
    model: str = ""
    function: str = ""

    def __str__(self) -> str:
        inside = f" in {self.layer}" if self.layer else ""
        return f"{self.where or 'a line that is not known'}{inside}"


NOWHERE = Place(None)


@dataclass(frozen=True)
class Here:
    """What the stack says of an operation that runs now.

    Attributes:
        phase: "forward", "backward" or "update".
        again: whether ``torch.utils.checkpoint`` computes it a second time, within the backward.
        own: whether code of the user's runs inside the backward: an autograd function of his, a hook.
        aside: whether somebody looks at a tensor, prints it or types at a debugger.
        optimizer: that updates.
        model: the outermost module that runs.
    """

    place: Place
    phase: str
    again: bool = False
    own: bool = False
    aside: bool = False
    optimizer: torch.optim.Optimizer | None = None
    model: torch.nn.Module | None = None


def here(*, in_backward: bool) -> Here:
    """Look at the stack; ``in_backward`` says whether a node of autograd runs."""
    user: FrameType | None = None
    typed: FrameType | None = None
    modules: list[torch.nn.Module] = []
    optimizer = None
    engine = again = own = False
    for frame in _frames():
        code = frame.f_code
        file = code.co_filename
        if file == _PRINTING or (user is None and _is_debugger(file)):
            return Here(NOWHERE, "forward", aside=True)
        if file == _ENGINE and code.co_name == "_engine_run_backward":
            engine, own = True, own or user is not None
        elif file == _CHECKPOINT and not engine:
            again = True
        elif code is torch_internals.CALL_OF_A_MODULE:
            modules.append(frame.f_locals["self"])
        elif optimizer is None and user is None and file.startswith(_OPTIMIZERS):
            optimizer = _optimizer_of(frame)
        if user is None and not _is_library(file):
            user = frame
        elif typed is None and file.startswith(_TYPED):
            typed = frame
    backward = engine or in_backward
    phase = "update" if optimizer is not None else "backward" if backward else "forward"
    place = _place(user or typed, modules)
    model = modules[-1] if modules else None
    return Here(place, phase, again and backward, own, optimizer=optimizer, model=model)


def variables() -> dict[str, Any]:
    """The variables of the user's function that runs now."""
    return next((frame.f_locals for frame in _frames() if not _is_library(frame.f_code.co_filename)), {})


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 - the documented way to the caller
    while frame is not None:
        yield frame
        frame = frame.f_back


def _optimizer_of(frame: FrameType) -> torch.optim.Optimizer | None:
    found = frame.f_locals.get("self") if frame.f_code.co_name in _STEPS else None
    return found if isinstance(found, torch.optim.Optimizer) else None


_STEPS = {"step", "update_parameters"}


@functools.cache
def _is_library(file: str) -> bool:
    return is_library(file)


@functools.cache
def _is_debugger(file: str) -> bool:
    """What is typed at one is no part of the program."""
    return file.endswith(_DEBUGGERS) or "/debugpy/" in file or "/pydevd" in file


def _place(frame: FrameType | None, modules: list[torch.nn.Module]) -> Place:
    """``modules`` from the innermost to the outermost."""
    layer = path_of(modules[-1], modules[0]) if modules else ""
    model = type(modules[-1]).__name__ if modules else ""
    if frame is None:
        return Place(None, layer=layer, model=model)
    where, expression, name = _expression(frame.f_code, frame.f_lasti)
    return Place(where, expression, name, layer, model, frame.f_code.co_qualname)


@functools.lru_cache(maxsize=100_000)
def _expression(code: CodeType, instruction: int) -> tuple[SourceLine, str, str]:
    positions = next(itertools.islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    first, last, begin, end = positions
    line = first or code.co_firstlineno
    where = SourceLine(code.co_filename, line, linecache.getline(code.co_filename, line).strip())
    if first is None or last is None or begin is None or end is None:
        return where, "", ""
    rows = [linecache.getline(code.co_filename, row).encode() for row in range(first, last + 1)]
    rows[-1] = rows[-1][:end]
    rows[0] = rows[0][begin:]
    text = " ".join(row.decode(errors="replace").strip() for row in rows)
    return where, text, _assignments(code.co_filename).get((first, begin, last, end), "")


@functools.lru_cache(maxsize=1000)
def _assignments(file: str) -> dict[tuple[int, int, int, int], str]:
    """What the value of an expression is assigned to, by the expression's lines and columns."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return {}
    found: dict[tuple[int, int, int, int], str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[target], value=value) | ast.NamedExpr(target=target, value=value):
                found[_span(value)] = ast.unparse(target)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                found[_span(value)] = ast.unparse(target)
            case ast.AugAssign(target=target):
                found[_span(node)] = ast.unparse(target)
    return found


def _span(node: ast.expr | ast.stmt) -> tuple[int, int, int, int]:
    return node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0
