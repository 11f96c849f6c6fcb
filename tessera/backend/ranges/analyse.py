"""From a graph and what is known of its inputs to what goes wrong in it, line by line."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import fx

from tessera.backend.ranges.checks.table import CHECKS
from tessera.backend.ranges.exponentials import follow
from tessera.backend.ranges.finding import Kind, NumericsFinding
from tessera.backend.ranges.guards import is_replaced
from tessera.backend.ranges.hazard import Hazard, Subject
from tessera.backend.ranges.interpret import interpret
from tessera.backend.ranges.value_range import Range
from tessera.program.provenance import frames_of_trace, is_marked_as_stable, source_line
from tessera.users_code import is_library

logger = logging.getLogger("tessera")

_TORCH = str(Path(torch.__file__).parent) + "/"
# Between the user's line and an operation that it wrote: what Python's operators and thin functions pass through.
_THIN = tuple(_TORCH + name for name in ("_tensor.py", "overrides.py", "functional.py", "_ops.py", "_refs/", "utils/"))
_CHECKED = "/tessera/nn/checked.py"
_SERIOUS = {Kind.OVERFLOW, Kind.DOMAIN, Kind.DIVISION}


def findings_of(
    graph: fx.Graph, given: Mapping[fx.Node, Range], attribute: Callable[[str], Any]
) -> list[NumericsFinding]:
    """What is known to go wrong in ``graph``, at most one finding for a line and a kind, in the order of the graph.

    Linear in the size of the graph. A check that fails is left out and logged; nothing is raised.

    Args:
        graph: functional ATen operations with fake results in ``meta["val"]`` and the user's lines.
        given: what is known of its placeholders.
        attribute: the tensor that a ``get_attr`` node reads.
    """
    try:
        found = interpret(graph, given, attribute)
        subject = Subject(graph, found, follow(graph, found))
    except Exception:
        logger.debug("the range analysis was left out", exc_info=True)
        return []
    hazards = [one for one in _hazards(subject) if _is_the_users(one) and not is_replaced(one, found)]
    order = {node: position for position, node in enumerate(graph.nodes)}
    kept: dict[Any, tuple[int, NumericsFinding]] = {}
    for hazard in hazards:  # the first check that says something of a line is the one that knows more
        finding = _finding(hazard)
        place = (finding.where.file, finding.where.line) if finding.where else hazard.node
        kept.setdefault((place, finding.kind), (order[hazard.node], finding))
    return [finding for _, finding in sorted(kept.values(), key=operator.itemgetter(0))]


def _hazards(subject: Subject) -> Iterator[Hazard]:
    for check in CHECKS:
        try:
            yield from check(subject)
        except Exception:
            logger.debug("the check %s was left out", check.__name__, exc_info=True)


def _is_the_users(hazard: Hazard) -> bool:
    """Whether the user wrote what goes wrong: not torch, inside of a loss or a distribution, nor a backward.

    Neither did they write a stable form, which is right where the analysis cannot prove it.
    """
    nodes = [node for node in (hazard.node, hazard.hurts) if node is not None]
    return all(_wrote(node) and not is_marked_as_stable(node) for node in nodes)


def _wrote(node: fx.Node) -> bool:
    frames = frames_of_trace(node.meta.get("stack_trace") or "")
    last = max((i for i, (file, _) in enumerate(frames) if not is_library(file)), default=-1)
    inside = [file for file, _ in frames[last + 1 :] if file.startswith(_TORCH)]
    return all(file.startswith(_THIN) for file in inside)


def _finding(hazard: Hazard) -> NumericsFinding:
    frames = [file for file, _ in frames_of_trace(hazard.node.meta.get("stack_trace") or "")]
    checked = any(file.endswith(_CHECKED) for file in frames[-2:]) and hazard.kind in _SERIOUS
    return NumericsFinding(
        hazard.kind,
        "error" if checked else "warning",
        hazard.known,
        hazard.consequence,
        f"Write {hazard.stable}.",
        hazard.stable,
        source_line(hazard.node),
    )
