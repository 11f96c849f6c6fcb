"""The invariants of a Program, checked on entry to the pipeline and after every pass.

A broken invariant is a defect of Tessera or of a pass, so it raises ``ProgramError`` naming the node; the runner then
names the pass and goes on without it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from tessera.backend.update_kernel import UPDATE_MANY
from tessera.errors import ProgramError
from tessera.program import COPY, Program, describe


def verify(program: Program) -> None:
    """Raise ``ProgramError`` if ``program`` is not well formed."""
    graph = program.graph
    try:
        graph.lint()
    except RuntimeError as error:
        raise broken(str(error)) from error
    placeholders = program.placeholders
    if len(placeholders) != len(program.inputs):
        raise broken(f"the graph has {len(placeholders)} placeholders for {len(program.inputs)} named inputs.")
    if len(program.results) != len(program.outputs):
        raise broken(f"the graph returns {len(program.results)} values for {len(program.outputs)} named outputs.")
    updated: set[fx.Node] = set()
    for node in graph.nodes:
        _verify_node(node, updated)


def _verify_node(node: fx.Node, updated: set[fx.Node]) -> None:
    if node.op not in ("placeholder", "call_function", "get_attr", "output"):
        raise broken(f"node {node.name} is a {node.op}, which no Program holds.")
    if node.op != "call_function":
        return
    if written := written_inputs(node):
        for destination in written:
            if not isinstance(destination, fx.Node) or destination.op != "placeholder":
                raise broken(f"{describe(node)} writes to something that is not an input.")
            if destination in updated:
                raise broken(f"input {destination.name} is written twice.")
            updated.add(destination)
        if node.target is COPY:
            _verify_same_kind(written[0], node)
    elif "val" not in node.meta and not _only_checks(node):
        raise broken(f"node {node.name} ({describe(node)}) has no shape and dtype.")
    elif read := updated.intersection(node.all_input_nodes):
        names = ", ".join(sorted(n.name for n in read))
        raise broken(f"{describe(node)} reads {names} after its update: the old and the new value would be confused.")


def _only_checks(node: fx.Node) -> bool:
    """Whether it returns nothing: an assertion on values, such as the one in ``one_hot``."""
    return node.is_impure() and not getattr(node.target, "_schema", None).returns  # type: ignore[union-attr]


def written_inputs(node: fx.Node) -> list[Any]:
    """What a node updates in place: inputs, in a Program that is well formed."""
    if node.target is COPY:
        return [node.args[0]]
    return list(node.args[2]) if node.target is UPDATE_MANY else []  # type: ignore[arg-type]


def _verify_same_kind(destination: fx.Node, copy: fx.Node) -> None:
    source = copy.args[1]
    old, new = destination.meta.get("val"), source.meta.get("val") if isinstance(source, fx.Node) else None
    if not isinstance(old, torch.Tensor) or not isinstance(new, torch.Tensor):
        return
    if old.dtype != new.dtype or old.dim() != new.dim():
        raise broken(
            f"input {destination.name} of type {old.dtype}{list(old.shape)}"
            f" would be updated with {new.dtype}{list(new.shape)}."
        )


def broken(what: str) -> ProgramError:
    """The error that names a broken invariant, to be raised."""
    return ProgramError(
        f"A Program is malformed: {what}",
        "Every Program is a functional graph with named inputs and one update at most for each of them.",
        "This is a defect in Tessera or in a pass, not in your model: please report it with the Report of this step.",
    )
