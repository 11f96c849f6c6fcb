"""An instance of a module's class, made without memory: with its defaults, or with example numbers for its sizes.

``Net(dim, heads)`` is made as ``Net(192, 4)``. A name in the annotations of ``forward`` that turns out to be such a
number is the class's own parameter (``x: Tensor["B", "D"]`` of ``Net(D)``), and stands for it.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.finding import CheckReport

# By what the name of an argument means; sizes are multiples of the heads and groups that divide them.
_NUMBERS = (
    (re.compile(r"head|group|num_layers|n_layers|depth|layers|blocks|experts"), (4, 2)),
    (re.compile(r"kernel|window"), (3, 3)),
    (re.compile(r"stride|dilation|padding|factor|scale|top_?k|order"), (2, 1)),
    (re.compile(r""), (192, 320, 448, 576, 704, 832, 960, 1088)),
)
_GUESSES = (None, (192, 4), (192, 192), (192, 2))  # by name; or what the first number is and all others
_FLOATS = 0.1


def instances_of(kind: type[torch.nn.Module], check: Callable[..., CheckReport]) -> CheckReport:
    """Check an instance of a class; what is wrong with all numbers that it is made with is wrong.

    Args:
        kind: the class.
        check: is given the instance and the numbers that it was made with.
    """
    reports: list[CheckReport] = []
    for numbers in _GUESSES:
        try:
            arguments = _arguments(kind, numbers)
        except TypeError as unknown:
            return CheckReport(notes=[f"{kind.__qualname__} was not checked: {unknown}; check an instance of it."])
        reports.append(_checked(kind, arguments, check))
        if reports[-1].checked and reports[-1].ok:
            return reports[-1]
        if not any(type(value) is int for value in arguments.values()):
            break
    return next((report for report in reports if report.checked), reports[0])


def _checked(kind: type[torch.nn.Module], arguments: dict[str, Any], check: Callable[..., CheckReport]) -> CheckReport:
    try:
        module = _made(kind, arguments)
    except Exception as error:  # noqa: BLE001 - the user's constructor may not like the numbers
        said = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        reason = f"{type(error).__name__}: {error}"
        note = f"{kind.__qualname__} was not checked: {kind.__name__}({said}) raised {reason}; check an instance of it."
        return CheckReport(notes=[note])
    return check(module, tuple(value for value in arguments.values() if type(value) is int))


def _made(kind: type[torch.nn.Module], arguments: dict[str, Any]) -> torch.nn.Module:
    try:
        with torch_internals.quiet_fake_tensors(), torch_internals.new_fake_mode():
            return kind(**arguments)
    except Exception as error:
        if not torch_internals.needs_data(error):
            raise
        with torch.random.fork_rng(devices=[]):
            return kind(**arguments)  # [rate.item() for rate in torch.linspace(0, 0.1, depth)]


def _arguments(kind: type, numbers: tuple[int, int] | None) -> dict[str, Any]:
    """Arguments for the constructor.

    Args:
        kind: the class.
        numbers: what the first number is and all others; by their names where None.

    Raises:
        TypeError: one is neither a number nor has a default.
    """
    given: dict[str, Any] = {}
    taken: dict[int, int] = {}
    for name, parameter in _signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is not parameter.empty:
            continue
        annotation = parameter.annotation
        if annotation in (float, "float"):
            given[name] = _FLOATS
        elif annotation in (bool, "bool"):
            given[name] = False
        elif annotation in (int, "int", parameter.empty):
            row = next(at for at, (pattern, _) in enumerate(_NUMBERS) if pattern.search(name.lower()))
            usual = _NUMBERS[row][1]
            given[name] = usual[min(taken.get(row, 0), len(usual) - 1)]
            if numbers is not None:
                given[name] = numbers[min(sum(taken.values()), 1)]
            taken[row] = taken.get(row, 0) + 1
        elif inspect.isclass(annotation) and dataclasses.is_dataclass(annotation):
            given[name] = annotation(**_arguments(annotation, numbers))
        else:
            raise TypeError(f"nothing is known of the argument {name!r} of its constructor")
    return given


def _signature(kind: type) -> inspect.Signature:
    try:
        return inspect.signature(kind, eval_str=True)
    except NameError:  # a name that is there for type checkers alone
        return inspect.signature(kind)
