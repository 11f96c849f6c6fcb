"""What is found in a program while it is compiled: a warning at the user's line, and a line in the Report."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from tessera.backend.ranges.analyse import findings_of
from tessera.backend.ranges.check_numerics import check_numerics
from tessera.backend.ranges.finding import NumericsFinding
from tessera.backend.ranges.trace import trace_captured
from tessera.errors import NumericsError, NumericsWarning

logger = logging.getLogger("tessera")

_WARNED: dict[Any, Any] = {}  # what Python's own "once a line" remembers


def warned_about(graph_module: fx.GraphModule, inputs: Sequence[Any]) -> list[str]:
    """Warn of what is known to go wrong in a graph that Dynamo captured; returns the same as lines for the Report."""
    try:
        with torch.no_grad():
            traced = trace_captured(graph_module, inputs)
    except Exception:
        logger.debug("the numerics of a capture were left out", exc_info=True)
        return []
    findings = findings_of(traced.graph, traced.given, traced.attribute)
    warn(findings)
    return [f"{finding.kind} at {finding.where}: {finding.message}" for finding in findings]


def check_call(
    function: Callable[..., Any],
    name: str,
    inputs: tuple[Any, ...],
    keywords: Mapping[str, Any],
    ranges: Mapping[int | str, tuple[float, float]] | None = None,
) -> None:
    """What ``check_numerics`` finds in a call, before it is made: errors are raised, the rest are warnings.

    Raises:
        NumericsError: a function of Tessera that checks is known to go wrong.
    """
    findings = check_numerics(function, *inputs, ranges=ranges, **keywords)
    warn([finding for finding in findings if finding.severity == "warning"])
    raise_errors(findings, name)


def warn(findings: Sequence[NumericsFinding]) -> None:
    """Give each as a ``NumericsWarning`` at the user's line, once a line."""
    for finding in findings:
        where = finding.where
        file, line = (where.file, where.line) if where else ("<unknown>", 0)
        text = f"{finding.kind}: {finding.message}"
        try:
            warnings.warn_explicit(text, NumericsWarning, file, line, registry=_WARNED)
        except NumericsWarning:  # a filter makes errors of warnings, and no compilation ends by one
            logger.warning("%s", finding)


def raise_errors(findings: Sequence[NumericsFinding], name: str) -> None:
    """Raise the first finding that is an error.

    Raises:
        NumericsError: a function of Tessera that checks is known to go wrong in ``name``.
    """
    for finding in findings:
        if finding.severity == "error":
            known = f"In {name!r}: {finding.known[0].lower()}{finding.known[1:]}"
            raise NumericsError(known, finding.consequence, finding.fix, finding.where)
