"""Collects expressions under their names: unstable ones, and what is to stay as it is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch

from tests.backend.stability.unstable import Unstable


class Rows(list[Unstable]):
    """``@row("two-sum", [1.0], [2.0])`` adds what is decorated; of a class, an instance.

    Attributes:
        low: those of a low precision, with it.
    """

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self._prefix = prefix
        self.low: list[tuple[Unstable, torch.dtype]] = []

    def __call__(
        self, name: str, *inputs: Any, dtype: torch.dtype | None = None, **of_row: Any
    ) -> Callable[[Any], Any]:
        def add(made: Any) -> Any:
            one = Unstable(f"{self._prefix}{name}", _instance(made), inputs, **of_row)
            if dtype is None:
                self.append(one)
            else:
                self.low.append((one, dtype))
            return made

        return add


class Left(dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]]):
    """``@stays("layer norm", stays.n(4, 6))`` adds what is decorated and the inputs that it is written for."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, name: str, *inputs: Any) -> Callable[[Any], Any]:
        def add(made: Any) -> Any:
            assert name not in self, name
            self[name] = (_instance(made), tuple(map(torch.as_tensor, inputs)))
            return made

        return add

    def n(self, *shape: int) -> torch.Tensor:
        """Normal numbers, of a sequence of its own."""
        return torch.randn(*shape, generator=self.generator)

    def u(self, *shape: int) -> torch.Tensor:
        """Numbers between 0 and 1, of the same."""
        return torch.rand(*shape, generator=self.generator)


def kept_aside(of: str, name: str, share: float = 0.5) -> bool:
    """Whether it was kept aside while the rules were mended, of a set in which a ``share`` was."""
    return random.Random(f"{of}: {name}").random() < share


def _instance(made: Any) -> Any:
    return made() if isinstance(made, type) else made
