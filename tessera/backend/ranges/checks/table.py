"""All checks, in the order in which they are believed where several speak of one line and kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tessera.backend.ranges.checks.accumulation import sums_of_few_digits
from tessera.backend.ranges.checks.arguments import divisors, domains
from tessera.backend.ranges.checks.cancellation import differences
from tessera.backend.ranges.checks.overflow import (
    exponentials_undone,
    large_factors,
    results_beyond_the_format,
    results_that_vanish,
)
from tessera.backend.ranges.hazard import Hazard, Subject

Check = Callable[[Subject], Iterator[Hazard]]

CHECKS: tuple[Check, ...] = (
    results_beyond_the_format,
    exponentials_undone,
    large_factors,
    results_that_vanish,
    divisors,
    domains,
    differences,
    sums_of_few_digits,
)
