"""Decompositions of weights alone, and tables of places, computed when the file is written.

A flow adds the logarithm of a weight's determinant, an orthogonal layer the exponential of one. In a file weights do
not change, and most runtimes have no such operator:

    slogdet(weight), tril_indices(3, 3)   ->   constants
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument

from tessera import torch_internals

_HELD = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
_TABLES = ("aten.tril_indices", "aten.triu_indices")
_FURTHER = ("aten.slogdet", "aten.logdet", "aten.det.", "aten.inverse", "aten.cholesky", "aten.matrix_exp", "aten.qr.")


def fold_decompositions(program: ExportedProgram) -> None:
    """Put constants in the place of what is decomposed of weights alone; ``program`` is changed."""
    graph = program.graph
    values = _values(program)
    given = next((node for node in graph.nodes if node.op == "placeholder" and node not in values), None)
    folded = [node for node in graph.nodes if node.op == "call_function" and node in values and _decomposes(node)]
    for node in folded:
        for each in node.users if isinstance(values[node], (tuple, list)) else (node,):
            if isinstance(values.get(each), torch.Tensor) and given is not None:
                _replace(program, each, values[each].clone(), given)
    if folded:
        graph.eliminate_dead_code()
        program.graph_module.recompile()


def _decomposes(node: torch.fx.Node) -> bool:
    name = str(node.target)
    return "linalg" in name or name.startswith((*_FURTHER, *_TABLES))


def _values(program: ExportedProgram) -> dict[torch.fx.Node, Any]:
    """Of the graph's nodes that depend on weights alone: what they are."""
    if not any(_decomposes(node) for node in program.graph.nodes if node.op == "call_function"):
        return {}
    held = {spec.arg.name: spec for spec in program.graph_signature.input_specs if spec.kind in _HELD}
    found: dict[torch.fx.Node, Any] = {}
    changed = set(_changed(program))
    with torch.no_grad():
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in held and node not in changed:
                name = held[node.name].target
                found[node] = program.state_dict.get(name, program.constants.get(name))
            elif node.op == "call_function" and _is_a_function(node) and _all_known(node, found):
                args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda each: found[each])
                found[node] = node.target(*args, **kwargs)
    return found


def _all_known(node: torch.fx.Node, found: dict[torch.fx.Node, Any]) -> bool:
    inputs = node.all_input_nodes
    if not inputs:
        return str(node.target).startswith(_TABLES)
    return all(isinstance(found.get(each), (torch.Tensor, tuple, list)) for each in inputs)


def _changed(program: ExportedProgram) -> Iterator[torch.fx.Node]:
    """What the graph writes into."""
    for node in program.graph.nodes:
        if node.op == "call_function" and not _is_a_function(node):
            yield from node.all_input_nodes


def _is_a_function(node: torch.fx.Node) -> bool:
    """Whether it gives the same for the same, and writes nowhere."""
    target: Any = node.target
    if getattr(target, "__name__", "") == "getitem":
        return True
    if not torch_internals.is_operator(target):
        return False
    return not target._schema.is_mutable and torch.Tag.nondeterministic_seeded not in target.tags  # noqa: SLF001


def _replace(program: ExportedProgram, node: torch.fx.Node, value: torch.Tensor, before: torch.fx.Node) -> None:
    """With a further constant of the program."""
    signature = program.graph_signature
    name = f"c_of_weights_{len(program.constants)}"
    with program.graph.inserting_before(before):
        constant = program.graph.placeholder(name)
    constant.meta["val"] = node.meta["val"]
    at = next(at for at, spec in enumerate(signature.input_specs) if spec.arg.name == before.name)
    argument = TensorArgument(name=constant.name)
    signature.input_specs.insert(at, InputSpec(InputKind.CONSTANT_TENSOR, argument, target=name))
    program.constants[name] = value
    node.replace_all_uses_with(constant)
