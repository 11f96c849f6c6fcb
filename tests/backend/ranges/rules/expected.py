"""How the tests of the rules say what they expect."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tests.backend.ranges.asking import range_of

INF = math.inf
DECLARED = (-1.0, 2.0)


@dataclass(frozen=True)
class Expected:
    """A function of a 4 x 8 tensor, the range that is declared of it, and what is known of the result."""

    name: str
    function: Callable[..., Any]
    low: float
    high: float
    reached: tuple[float, float] | None
    declared: tuple[float, float] | None = DECLARED

    def check(self) -> None:
        """Compare to the digits of float32."""
        ranges = {} if self.declared is None else {"x": self.declared}

        def f(x):
            return self.function(x)

        found = range_of(f, torch.ones(4, 8), **ranges)
        assert [found.low, found.high] == [_near(self.low), _near(self.high)], found
        assert (found.reached is None) == (self.reached is None), found
        if self.reached is not None and found.reached is not None:
            assert list(found.reached) == list(map(_near, self.reached)), found


def _near(value: float) -> Any:
    import pytest

    return value if math.isinf(value) else pytest.approx(value, rel=1e-5, abs=1e-6)
