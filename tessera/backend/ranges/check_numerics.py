"""``tessera.check_numerics``: what is known to go wrong in the numbers of a function, before it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from tessera.backend.ranges.analyse import findings_of
from tessera.backend.ranges.finding import NumericsFinding
from tessera.backend.ranges.trace import trace_forward
from tessera.errors import SettingError

logger = logging.getLogger("tessera")


def check_numerics(
    function: Callable[..., Any],
    *inputs: Any,
    ranges: Mapping[int | str, tuple[float, float]] | None = None,
    **keywords: Any,
) -> list[NumericsFinding]:
    """What is known to go wrong in the numbers of ``function(*inputs, **keywords)``, before it computes any.

    Known is what follows from constants, dtypes, declared ranges, and from what operations can return: a softmax is in
    [0, 1], and 0 is among it. Of an input that nothing is said about, nothing is known: ``x / y`` and ``x.log()`` are
    the caller's contract, ``x / x.norm()`` is not, because a row of zeros is ordinary data.

    The function's Python code runs once, and twice where it has an ``if tensor:``, on tensors without data.

    Args:
        function: a function of tensors, or a module.
        inputs, keywords: what it is called with; only shapes and dtypes of tensors are looked at.
        ranges: of inputs, by position or name of the argument: ``{"image": (0, 255)}``.

    Returns:
        Findings in the order of the program, at most one for a line and kind. None where the function cannot be
        traced without data.

    Raises:
        SettingError: a range is empty, not a pair of numbers, or of an argument that there is not.

    Example:
        >>> import torch, tessera
        >>> def loss(x):
        ...     return -torch.log(torch.softmax(x, -1)).mean()
        >>> [finding.stable for finding in tessera.check_numerics(loss, torch.ones(8, 10))]
        ['torch.log_softmax(x, dim=-1)']
    """
    checked = _checked(ranges or {})
    found: dict[tuple[Any, ...], NumericsFinding] = {}
    for answer in (False, True):  # both ways of `if tensor:`, where there is one
        try:
            traced = trace_forward(function, inputs, keywords, checked, answer=answer)
        except SettingError:
            raise
        except Exception:
            logger.debug("%r cannot be traced without data", function, exc_info=True)
            continue
        for finding in findings_of(traced.graph, traced.given, traced.attribute):
            found.setdefault((finding.where, finding.kind), finding)
        if not traced.asked:
            break
    return list(found.values())


def _checked(ranges: Mapping[int | str, tuple[float, float]]) -> Mapping[int | str, tuple[float, float]]:
    for name, pair in ranges.items():
        good = isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(end, (int, float)) for end in pair)
        if not good or not pair[0] <= pair[1]:
            raise SettingError(
                f"The range of {name!r} is {pair!r}.",
                "A range is a pair of numbers, the least value and the largest.",
                f"Write ranges={{{name!r}: (0.0, 1.0)}}.",
            )
    return ranges
