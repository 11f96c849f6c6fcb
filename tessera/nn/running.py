"""What runs around a call: the ``tessera.function``, the module, and the line that was written."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import torch

from tessera import torch_internals

if TYPE_CHECKING:
    from tessera.nn.structure import Call

RUNNING = threading.local()
"""``RUNNING.running_call`` is the running call of a ``tessera.function``, None outside of any; a thread has its own."""
RUNNING.running_call = None

# Between the user's code and here.
_BETWEEN = ("functional_layers", "own_layers", "running", "structure", "uncaptured")
_SKIPPED = (
    str(Path(torch.__file__).parent),
    *(str(Path(__file__).with_name(f"{name}.py")) for name in _BETWEEN),
)


def running_call() -> Call | None:
    """The innermost running call of a ``tessera.function`` on this thread."""
    return getattr(RUNNING, "running_call", None)


def written_at() -> str:
    """``file.py:12`` where the user's code asks for a layer; the same eagerly and while Dynamo captures it."""
    if torch.compiler.is_dynamo_compiling():
        from tessera.nn import uncaptured

        return torch_internals.captured_line(_SKIPPED) or uncaptured.written_at()
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_SKIPPED):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def training_mode() -> bool:
    """Whether the module is training whose method runs, the innermost; True outside of all.

    A function with a module as its first argument counts as a method of it.
    """
    if torch.compiler.is_dynamo_compiling():
        from tessera.nn import uncaptured

        captured = torch_internals.captured_training_mode()
        return uncaptured.training_mode() if captured is None else captured
    module = running_module()
    return True if module is None else module.training


def running_module() -> torch.nn.Module | None:
    """The module whose method runs, the innermost; a function with a module as its first argument counts as one."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as above
    while frame is not None:
        code = frame.f_code
        if code.co_argcount and isinstance(module := frame.f_locals.get(code.co_varnames[0]), torch.nn.Module):
            return module
        frame = frame.f_back
    return None
