"""How a program of the corpus is written down: a function whose arguments' names say what it is given.

``# bug: kind`` marks the line that a finding must point at; every other line must stay without one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

ROW = (8, 16)
INPUTS: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
    **dict.fromkeys(("x", "y", "z", "logits", "target", "mu", "logvar"), (ROW, torch.float32)),
    "mask": (ROW, torch.bool),
    "float_mask": (ROW, torch.float32),
    "row_mask": ((8,), torch.bool),
    "labels": ((8,), torch.int64),
    "ids": (ROW, torch.int64),
    "half": (ROW, torch.float16),
    "brain": (ROW, torch.bfloat16),
    "half_long": ((100_000,), torch.float16),
    "brain_long": ((20_000,), torch.bfloat16),
    "long": ((4096,), torch.float32),
    "matrix": ((16, 16), torch.float32),
    "points": ((32, 3), torch.float32),
    "image": ((2, 3, 8, 8), torch.float32),
    "half_image": ((3, 224, 224), torch.float16),
    "double": (ROW, torch.float64),
    **dict.fromkeys(("query", "key", "value"), ((2, 4, 16, 8), torch.float32)),
    **dict.fromkeys(("half_query", "half_key"), ((16, 64), torch.float16)),
    **dict.fromkeys(("probability", "other_probability"), (ROW, torch.float32)),
    "scalar": ((), torch.float32),
}
_MARK = re.compile(r"# bug: ([\w -]+)")


@dataclass
class Case:
    """One program: what it is called with, and where its bugs are."""

    function: Callable[..., Any]
    ranges: dict[str, tuple[float, float]]

    @property
    def name(self) -> str:
        return self.function.__name__

    def inputs(self) -> list[torch.Tensor]:
        """Real tensors; nobody looks at their values."""
        names = list(inspect.signature(self.function).parameters)
        return [torch.ones(shape, dtype=dtype) for shape, dtype in (INPUTS[name] for name in names)]

    def runnable(self) -> Any:
        """The function, or a module where the program is a class."""
        return self.function

    def bugs(self) -> list[tuple[int, str]]:
        """Line and kind of each."""
        lines, first = inspect.getsourcelines(self.function)
        found = [(first + i, _MARK.search(line)) for i, line in enumerate(lines)]
        return [(line, mark[1].strip()) for line, mark in found if mark]


@dataclass
class Corpus:
    """Programs by name."""

    cases: list[Case] = field(default_factory=list)

    def __call__(self, **ranges: tuple[float, float]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            self.cases.append(Case(function, ranges))
            return function

        return keep

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)
