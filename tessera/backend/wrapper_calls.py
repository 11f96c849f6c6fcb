"""The calls in the Python wrapper that Inductor writes: where they stand, and what each was made of.

A wrapper is straight-line code, so a call is a statement. What was fused into it stands in comments that Tessera has
Inductor write (``torch_internals.describing_calls``). A note belongs to the first call that names a buffer of it, for
no buffer is read before it is written.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import fx

from tessera.program import CallRecord, Program, parts_of
from tessera.torch_internals import CALL_NOTE

_LIBRARIES = ("extern_kernels.", "aten.", "torch.ops.", "inductor_ops.", "_quantized.")
_OWN_KERNELS = ("cpp_fused", "triton_", "torch.ops.tessera.update_many")
_NO_CALLS = ("inductor_ops._alloc_from_pool", "torch.ops.inductor._alloc_from_pool", "torch.ops.inductor._reinterpret")


@dataclass(frozen=True)
class WrapperCall:
    """A statement that runs a kernel or calls a library.

    Attributes:
        function: of the wrapper that it stands in.
        line: of the wrapper's source, from 1.
        name: what is called.
        kind: ``kernel`` or ``library``.
        names: the variables that the statement reads or writes.
    """

    function: str
    line: int
    name: str
    kind: str
    names: frozenset[str] = field(repr=False)


def calls_in(tree: ast.Module) -> Iterator[WrapperCall]:
    """The calls of a wrapper, in the order in which they stand."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                if (name := called(statement)) is not None:
                    kind = "kernel" if name.startswith(_OWN_KERNELS) else "library"
                    names = frozenset(node.id for node in ast.walk(statement) if isinstance(node, ast.Name))
                    yield WrapperCall(function.name, statement.lineno, name, kind, names)


def called(statement: ast.stmt) -> str | None:
    """The kernel or library function that ``statement`` calls; None where it does something else."""
    value = statement.value if isinstance(statement, (ast.Expr, ast.Assign)) else None
    if not isinstance(value, ast.Call):
        return None
    name = ast.unparse(value.func)
    if name.startswith("triton_") and name.endswith(".run"):
        return name.removesuffix(".run")
    known = name.startswith("cpp_fused") or (name.startswith(_LIBRARIES) and not name.startswith(_NO_CALLS))
    return name.removesuffix(".default") if known else None


def notes_in(source: str) -> list[dict[str, Any]]:
    """What Inductor noted of the groups of nodes that it made calls of."""
    lines = (line.strip() for line in source.splitlines())
    return [json.loads(line.removeprefix(CALL_NOTE)) for line in lines if line.startswith(CALL_NOTE)]


def buffer_sizes(source: str) -> dict[str, int]:
    """Bytes of every buffer, as Inductor noted them."""
    return {name: size for note in notes_in(source) for name, size in note["buffers"].items()}


def records_of(source: str, program: Program) -> list[CallRecord]:
    """A record of each call in a wrapper, with the lines of ``program`` that it was made of."""
    calls = list(calls_in(ast.parse(source)))
    nodes = {node.name: node for node in program.graph.nodes}
    order = {name: place for place, name in enumerate(nodes)}
    found: list[list[dict[str, Any]]] = [[] for _ in calls]
    first = _first_mention(calls)
    for note in (note for note in notes_in(source) if "nodes" in note):
        places = [first[name] for name in note["buffers"] if name in first]
        changed = [at for at, call in enumerate(calls) if call.names & set(note["inputs"])]
        if places or changed:
            found[min(places) if places else changed[-1]].append(note)
    return [_record(call, notes, nodes, order) for call, notes in zip(calls, found, strict=True)]


def _first_mention(calls: Sequence[WrapperCall]) -> dict[str, int]:
    first: dict[str, int] = {}
    for at, call in enumerate(calls):
        for name in call.names:
            first.setdefault(name, at)
    return first


def _record(
    call: WrapperCall, notes: Sequence[dict[str, Any]], nodes: Mapping[str, fx.Node], order: Mapping[str, int]
) -> CallRecord:
    work: dict[fx.Node, float] = {}
    for note in notes:
        known = {name: part for name, part in note["nodes"].items() if name in nodes}
        if not known and (others := [name for name in note["others"] if name in nodes]):
            known = {max(others, key=lambda name: order[name]): 1}  # what was computed last is not computed elsewhere
        for name, part in known.items():
            work[nodes[name]] = work.get(nodes[name], 0.0) + part
    dtypes = {note["dtype"] for note in notes if note["flops"]} or {note["dtype"] for note in notes}
    return CallRecord(
        call.name,
        call.kind,
        sum(note["bytes"] for note in notes),
        sum(note["flops"] for note in notes) or sum(node.meta.get("flops", 0) for node in work),
        dtypes.pop() if len(dtypes) == 1 else "",
        parts_of({node: work[node] for node in sorted(work, key=lambda node: order[node.name])}),
    )
