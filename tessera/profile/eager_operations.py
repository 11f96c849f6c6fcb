"""Times what runs eagerly, operator by operator, and which line of the user's it belongs to."""

from __future__ import annotations

import functools
import inspect
import linecache
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from tessera import torch_internals
from tessera.errors import SourceLine
from tessera.program.provenance import line_of_trace
from tessera.users_code import is_library

MOST_EVENTS = 100_000  # that are held for a trace

_PROFILE = str(Path(__file__).with_name("profile.py"))  # what called the function that is profiled
_OPTIMIZERS = tuple(f"{folder / 'optim'}/" for folder in (Path(torch.__file__).parent, Path(__file__).parents[1]))


@functools.cache
def _is_library(file: str) -> bool:
    return is_library(file) or file.startswith(torch_internals.inductor_cache_folder())


@dataclass
class EagerOperation:
    """All calls of one operator from one line. Times in seconds."""

    name: str
    where: SourceLine | None
    phase: str
    calls: int = 0
    seconds: float = 0.0
    num_bytes: int = 0
    flops: int = 0
    dtype: str = ""


class EagerOperations(torch_internals.DispatchMode):
    """While it is entered, every operation outside of compiled code is timed.

    Attributes:
        found: by operator, line and phase.
        events: ``(name, line, begin, end)`` of the first of them, in seconds of ``time.perf_counter``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, str, str], EagerOperation] = {}
        self.events: list[tuple[str, SourceLine | None, float, float]] = []

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Capture and compilation go on as if nobody watched."""
        return True

    def __enter__(self) -> Self:
        # A node of autograd then remembers the line of its forward.
        self._anomaly = torch.autograd.set_detect_anomaly(True, check_nan=False)
        self._anomaly.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._anomaly.__exit__()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.compiler.is_compiling() or torch_internals.fake_mode_of([args, kwargs]):
            return operator(*args, **kwargs)
        began = time.perf_counter()
        result = operator(*args, **kwargs)
        ended = time.perf_counter()
        if not torch_internals.is_view(operator):
            self._add(operator, args, kwargs, result, began, ended)
        return result

    def _add(self, operator: Any, args: Any, kwargs: Any, result: Any, began: float, ended: float) -> None:
        trace = torch_internals.forward_trace_of_backward()
        where, phase = (line_of_trace(trace), "backward") if trace else _place()
        name = str(operator).removesuffix(".default").removesuffix(".Tensor")
        one = self.found.setdefault((name, str(where), phase), EagerOperation(name, where, phase))
        made = torch_internals.tensors_in(result)
        moved = {t.data_ptr(): t for t in (*torch_internals.tensors_in([args, kwargs]), *made)}
        one.calls += 1
        one.seconds += ended - began
        one.num_bytes += sum(tensor.numel() * tensor.itemsize for tensor in moved.values())
        one.flops += torch_internals.product_operator_flops(operator, args, kwargs, result) or _elements(made)
        one.dtype = str(made[0].dtype).removeprefix("torch.") if made else ""
        if len(self.events) < MOST_EVENTS:
            self.events.append((name, where, began, ended))


def _elements(made: list[torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in made if tensor.is_floating_point())


def _place() -> tuple[SourceLine | None, str]:
    """The innermost line of the user's that runs, and ``update`` where that is in an optimizer."""
    frame, phase = inspect.currentframe(), ""
    while frame is not None and (file := frame.f_code.co_filename) != _PROFILE:
        if not _is_library(file):
            return _source_line(file, frame.f_lineno), phase
        phase = "update" if file.startswith(_OPTIMIZERS) else phase
        frame = frame.f_back
    return None, phase


@functools.cache
def _source_line(file: str, line: int) -> SourceLine:
    return SourceLine(file, line, linecache.getline(file, line).strip())
