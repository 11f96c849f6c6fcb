"""Runs a program of odd Python plainly or through Tessera, and puts down everything that its user could notice."""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import enum
import io
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import tessera
from tessera.errors import NumericsWarning

WAYS = ("compile", "module", "step")
PROGRAMS: dict[str, Callable[[Recorder], None]] = {}


def odd(program: Callable[[Recorder], None]) -> Callable[[Recorder], None]:
    """Put a program on the list; it is given a ``Recorder``."""
    assert program.__name__ not in PROGRAMS, program.__name__
    PROGRAMS[program.__name__] = program
    return program


def grid(sign: float = 1.0) -> torch.Tensor:
    """``[2, 3]``, all of one sign."""
    return sign * (torch.arange(6.0).reshape(2, 3) + 1)


class Explained(str):
    """The name of an error whose text Tessera replaced by one that says more."""

    __slots__ = ()


class Recorder:
    """What a program is given: ``compile`` makes what is under test, ``see`` puts down what it looks at.

    Args:
        way: ``compile``, ``module`` (the function is the forward of a module) or ``step`` (its result is the loss).
        ours: through Tessera; else plainly.
    """

    def __init__(self, way: str, *, ours: bool) -> None:
        self.way, self.ours = way, ours
        self.events: list[Any] = []
        self.reports: list[Any] = []

    def see(self, *values: Any) -> None:
        self.events.append(["sees", [plain(value) for value in values]])

    def compile(self, function: Any) -> Callable[..., Any]:
        if self.way == "step":
            called = _Step(function, ours=self.ours)
        elif self.way == "module" and not isinstance(function, nn.Module):
            called = _Holder(function)
        else:
            called = function
        if self.ours and self.way != "step":
            called = tessera.compile(called)
        if self.ours:
            self.reports.append(called.report)

        def call(*args: Any, **named: Any) -> Any:
            try:
                result = called(*args, **named)
            except Exception as error:  # whatever eager raises is what is expected
                result = error
            self._put_down(result, args, named)
            return result

        return call

    def _put_down(self, result: Any, args: Any, named: Any) -> None:
        given, got = tensors(args, named), tensors(result)
        self.events.append(
            {
                "result": plain(result),
                "arguments": plain([args, named]),
                "kinds": [type(leaf).__name__ for leaf in tree_leaves(result)],
                "strides": [t.stride() for t in got],
                "requires grad": [(t.requires_grad, t.is_leaf) for t in [*got, *given]],
                "same objects": [[a is b for b in (*got, *given)] for a in got],
                "same memory": [[_memory(a) == _memory(b) for b in (*got, *given)] for a in got],
                "versions": [t._version > 0 for t in given if not t.is_inference()],
                "random numbers": (torch.get_rng_state(), random.random(), np.random.random()),
                "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()),
            }
        )
        leaves = [t for t in given if t.requires_grad and t.is_leaf]
        ends = [t for t in got if t.requires_grad and t.grad_fn is not None]
        if leaves and ends:
            try:
                slopes = torch.autograd.grad(
                    sum((t.real if t.is_complex() else t).sum() for t in ends), leaves, allow_unused=True
                )
            except RuntimeError as error:
                slopes = error
            self.events.append(["gradients", plain(slopes)])


class _Holder(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **named: Any) -> Any:
        return self.function(*args, **named)


class _Loss(_Holder):
    """The mean of everything that a function returns, times a parameter."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, *args: Any, **named: Any) -> Any:
        total = self.factor * 1.0
        for leaf in tree_leaves(self.function(*args, **named)):
            if isinstance(leaf, torch.Tensor) and leaf.layout is torch.strided and leaf.numel():
                total = (
                    total + self.factor * torch.view_as_real(leaf).mean()
                    if leaf.is_complex()
                    else (total + self.factor * leaf.double().mean().float())
                )
        return total


class _Step:
    def __init__(self, function: Any, *, ours: bool) -> None:
        self.module = _Loss(function)
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=0.1)
        self.ours = tessera.train_step(self.module, None, self.optimizer) if ours else None

    @property
    def report(self) -> Any:
        return self.ours.report

    def __call__(self, *args: Any, **named: Any) -> Any:
        if self.ours:
            return self.ours(*args, **named)
        with torch.enable_grad():
            self.optimizer.zero_grad()
            loss = self.module(*args, **named)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        return loss.detach()


def tensors(*values: Any) -> list[torch.Tensor]:
    values = [vars(v) if dataclasses.is_dataclass(v) and not isinstance(v, type) else v for v in values]
    return [
        t
        for t in tree_leaves(values)
        if isinstance(t, torch.Tensor) and t.layout is torch.strided and not t.is_nested and not t.is_quantized
    ]


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def plain(value: Any) -> Any:
    """A copy that can be compared; what has no value of its own is named."""
    if isinstance(value, torch.Tensor):
        if value.is_nested:
            return ["nested", [plain(part) for part in value.unbind()]]
        value = value.detach()
        if value.is_quantized:
            return ["quantized", value.dequantize().clone()]
        return [
            type(value).__name__,
            str(value.layout),
            (value.to_dense() if value.layout is not torch.strided else value).clone(),
        ]
    if isinstance(value, np.ndarray):
        return ["array", str(value.dtype), torch.as_tensor(np.ascontiguousarray(value)).clone()]
    if isinstance(value, BaseException):
        if hasattr(value, "explanation"):
            return Explained(type(value).__name__)
        return [
            type(value).__name__,
            str(value),
            plain({k: v for k, v in vars(value).items() if k != "__notes__"})
            if not isinstance(value, (RuntimeError, TypeError))
            else None,
            type(value.__cause__).__name__,
        ]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, plain(vars(value))]
    if isinstance(value, nn.Module):
        return [type(value).__name__, plain(dict(value.state_dict())), value.training]
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, (dict, collections.abc.Mapping)):
        return [type(value).__name__, [[plain(k), plain(v)] for k, v in value.items()]]
    if isinstance(value, (list, tuple, collections.deque)):
        return [type(value).__name__, [plain(v) for v in value]]
    if isinstance(value, (set, frozenset)):
        return [type(value).__name__, sorted(map(str, value))]
    if isinstance(value, (int, float, complex, str, bytes, bool, type(None))):
        return copy.copy(value)
    if isinstance(value, (torch.dtype, torch.device, torch.Size, type)):
        return str(value)
    return type(value).__name__


class _Events(io.TextIOBase):
    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def write(self, text: str) -> int:
        if self.events and isinstance(self.events[-1], list) and self.events[-1][0] == "prints":
            self.events[-1][1] += text
        else:
            self.events.append(["prints", text])
        return len(text)


class _Logged(logging.Handler):
    def __init__(self, events: list[Any]) -> None:
        super().__init__()
        self.events = events

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(["logs", record.levelname, record.getMessage()])


@contextlib.contextmanager
def _surroundings(events: list[Any]) -> Iterator[None]:
    """Seeds, modes and outputs; all as before afterwards."""
    dtype, logger, handler = torch.get_default_dtype(), logging.getLogger("odd"), _Logged(events)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(_Events(events)):
            warnings.simplefilter("always")
            warnings.showwarning = lambda m, kind, *_, **__: (
                None if kind is NumericsWarning else events.append(["warns", kind.__name__, str(m)])
            )
            yield
    finally:
        logger.removeHandler(handler)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(True)


def run(name: str, way: str, *, ours: bool) -> Recorder:
    """Run a program."""
    return record(name, Recorder(way, ours=ours))


def record(name: str, recorder: Recorder) -> Recorder:
    """Run a program. What it raises itself, outside of what it compiled, is put down too."""
    with _surroundings(recorder.events):
        try:
            PROGRAMS[name](recorder)
        except Exception as error:
            recorder.events.append(["the program raised", plain(error)])
    return recorder


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """A line for every place where two recordings differ."""
    if isinstance(found, Explained) and isinstance(expected, list) and expected[:1] == [found]:
        return
    if isinstance(expected, torch.Tensor) and isinstance(found, torch.Tensor):
        expected, found = (t.as_subclass(torch.Tensor) for t in (expected, found))
        try:
            torch.testing.assert_close(found, expected, rtol=2e-6, atol=2e-6, equal_nan=True, check_stride=False)
        except AssertionError as error:
            yield f"{path}: {' '.join(str(error).split())}"
    elif isinstance(expected, dict) and isinstance(found, dict):
        for key in expected.keys() | found.keys():
            yield from differences(expected.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(expected, (list, tuple)) and isinstance(found, (list, tuple)):
        if len(expected) != len(found):
            yield f"{path}: {len(expected)} entries became {len(found)}: {_short(expected)} became {_short(found)}"
        for index, (a, b) in enumerate(zip(expected, found, strict=False)):
            yield from differences(a, b, f"{path}[{index}]")
    elif isinstance(expected, float) and isinstance(found, float):
        yield from differences(torch.tensor(expected), torch.tensor(found), path)
        if str(expected) == "-0.0" or str(found) == "-0.0":
            if str(expected) != str(found):
                yield f"{path}: {expected!r} became {found!r}"
    elif type(expected) is not type(found) or expected != found:
        yield f"{path}: {expected!r} became {found!r}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) < 300 else text[:300] + "..."
