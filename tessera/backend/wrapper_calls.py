"""What the calls in the Python wrapper that Inductor writes were made of.

That stands in comments that Tessera has Inductor write (``torch_internals.describing_calls``). A note belongs to the
first call that names a buffer of it, for no buffer is read before it is written.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx

from tessera.backend.wrapper_walk import WrapperCall, walk
from tessera.program import BufferLife, CallRecord, Program, parts_of
from tessera.torch_internals import CALL_NOTE

_OWN_KERNEL = "torch.ops.tessera.update_many"


def records_of(source: str, program: Program) -> tuple[list[CallRecord], list[BufferLife]]:
    """A record of each call in a wrapper with the lines of ``program`` that it was made of, and its memory."""
    tree, notes = ast.parse(source), notes_in(source)
    walked = walk(tree, {name: size for note in notes for name, size in note["buffers"].items()})
    graphs = {name: one.graph for name, one in program.graph_module.named_children() if isinstance(one, fx.GraphModule)}
    graphs["call"] = program.graph
    nodes = {name: {node.name: node for node in graph.nodes} for name, graph in graphs.items()}
    found = _notes_of(walked.calls, notes)
    records = [
        _record(call, found.get((call.function, call.line), ()), nodes.get(call.function, {})) for call in walked.calls
    ]
    made: dict[int, int] = {}
    for at, call in enumerate(walked.calls):
        records[at].reads = sorted({made[piece] for piece in call.pieces if piece in made})
        for piece in call.pieces:
            made.setdefault(piece, at)
    return records, walked.lives


def notes_in(source: str) -> list[dict[str, Any]]:
    """What Inductor noted of the groups of nodes that it made calls of."""
    lines = (line.strip() for line in source.splitlines())
    return [json.loads(line.removeprefix(CALL_NOTE)) for line in lines if line.startswith(CALL_NOTE)]


def _notes_of(calls: Sequence[WrapperCall], notes: Sequence[dict[str, Any]]) -> dict[tuple[str, int], list[Any]]:
    """The notes that belong to each statement."""
    first: dict[str, tuple[str, int]] = {}
    for call in calls:
        for name in call.names:
            first.setdefault(name, (call.function, call.line))
    order = {(call.function, call.line): at for at, call in reversed(list(enumerate(calls)))}
    found: dict[tuple[str, int], list[Any]] = {}
    for note in (note for note in notes if "nodes" in note):
        places = [first[name] for name in note["buffers"] if name in first]
        changed = [(call.function, call.line) for call in calls if call.names & set(note["inputs"])]
        if places or changed:
            found.setdefault(min(places, key=lambda place: order[place]) if places else changed[-1], []).append(note)
    return found


def _record(call: WrapperCall, notes: Sequence[dict[str, Any]], nodes: Mapping[str, fx.Node]) -> CallRecord:
    order = {name: place for place, name in enumerate(nodes)}
    work: dict[fx.Node, float] = {}
    for note in notes:
        known = {name: part for name, part in note["nodes"].items() if name in nodes}
        if not call.is_fused:
            # One operation: of those that Inductor names, only the last is not computed elsewhere.
            names = list(known) or [name for name in note["others"] if name in nodes]
            known = dict.fromkeys(sorted(names, key=lambda name: order[name])[-1:], 1)
        for name, part in known.items():
            work[nodes[name]] = work.get(nodes[name], 0.0) + part
    dtypes = {note["dtype"] for note in notes if note["flops"]} or {note["dtype"] for note in notes}
    return CallRecord(
        call.name,
        "kernel" if call.is_fused or call.name == _OWN_KERNEL else "library",
        sum(note["bytes"] for note in notes),
        sum(note["flops"] for note in notes) or sum(node.meta.get("flops", 0) for node in work),
        dtypes.pop() if len(dtypes) == 1 else "",
        parts_of({node: work[node] for node in sorted(work, key=lambda node: order[node.name])}),
    )
