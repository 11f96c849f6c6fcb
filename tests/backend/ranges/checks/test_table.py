"""All checks in one table."""

from __future__ import annotations

import inspect

from tessera.backend.ranges import checks
from tessera.backend.ranges.checks import accumulation, arguments, cancellation, overflow
from tessera.backend.ranges.checks.table import CHECKS
from tessera.backend.ranges.hazard import Subject


def test_every_check_is_in_the_table():
    assert checks.__doc__
    found = [
        function
        for module in (overflow, arguments, cancellation, accumulation)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and list(inspect.signature(function).parameters) == ["subject"]
        if function.__module__ == module.__name__
    ]
    assert set(found) == set(CHECKS)
    assert all(check.__annotations__["subject"] == Subject.__name__ for check in CHECKS)
