"""Python numbers that a captured function returns, computed as Python does and not by a kernel.

    def f(x, k): return x * k, -k, (k + 0.1) + 0.2    ->    a graph that returns x * k, and two numbers beside it

In a graph they are symbols, which are simplified: a zero loses its sign, and a sum is taken apart, which is another
number in its last bit. What could not be simplified away was specialised, and compiled again for every number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from tessera.program import copy_graph

_Run = Callable[..., Any]


def with_python_numbers(graph_module: fx.GraphModule, compile_graph: Callable[[fx.GraphModule], _Run]) -> _Run:
    """A graph of Dynamo's compiled without the numbers that it returns and that only numbers decide; they are added."""
    results: Sequence[Any] = graph_module.graph.output_node().args[0]  # type: ignore[assignment]
    needed: set[fx.Node] = set()
    places = []
    for i, node in enumerate(results):
        if isinstance(node, fx.Node) and _is_result(node) and (found := _computed_of(node)) is not None:
            needed |= found
            places.append(i)
    if not places:
        return compile_graph(graph_module)
    steps = sorted(needed)
    given = {node: i for i, node in enumerate(graph_module.graph.find_nodes(op="placeholder"))}
    compiled = compile_graph(_without(graph_module, places))

    def run(*values: Any) -> Any:
        known: dict[fx.Node, Any] = {}
        for node in steps:
            known[node] = values[given[node]] if node.op == "placeholder" else _computed(node, known)
        returned = list(compiled(*values))
        for i in places:
            returned.insert(i, known[results[i]])
        return tuple(returned)

    return run


def _without(graph_module: fx.GraphModule, places: Sequence[int]) -> fx.GraphModule:
    copied = copy_graph(graph_module)
    output = copied.graph.output_node()
    kept: Any = tuple(node for i, node in enumerate(output.args[0]) if i not in places)  # type: ignore[arg-type]
    output.args = (kept,)
    for node in reversed(copied.graph.nodes):
        if not node.users and (node.target is torch.scalar_tensor or _is_number(node, _NUMBERS)):
            copied.graph.erase_node(node)
    copied.recompile()
    return copied


_NUMBERS = (torch.SymFloat, torch.SymBool)


def _is_result(node: fx.Node) -> bool:
    """A float is returned as a tensor, which Dynamo takes the number from."""
    if node.target is torch.scalar_tensor:
        return len(node.all_input_nodes) == 1 and _is_number(node.all_input_nodes[0], torch.SymFloat)
    return _is_number(node, torch.SymBool)


def _is_number(node: fx.Node, kind: type | tuple[type, ...]) -> bool:
    return node.op == "call_function" and isinstance(node.meta.get("example_value"), kind)


def _computed_of(end: fx.Node) -> set[fx.Node] | None:
    """What ``end`` is computed of; None where that is more than numbers."""
    found: set[fx.Node] = set()
    waiting = [end]
    while waiting:
        node = waiting.pop()
        if node not in found:
            if not _is_of_python(node):
                return None
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _is_of_python(node: fx.Node) -> bool:
    if node.op == "placeholder":
        value = node.meta.get("example_value")
        return isinstance(value, torch.SymInt) or (isinstance(value, torch.Tensor) and value.dim() == 0)
    if node.op == "call_method":
        return node.target == "item" and node.args[0].op == "placeholder"  # type: ignore[union-attr]
    module, name = getattr(node.target, "__module__", None), getattr(node.target, "__name__", "")
    return node.target is torch.scalar_tensor or module in ("_operator", "math") or name.lstrip("_").startswith("sym_")


def _computed(node: fx.Node, known: dict[fx.Node, Any]) -> Any:
    args: Any = fx.map_arg(node.args, known.__getitem__)
    kwargs: Any = fx.map_arg(node.kwargs, known.__getitem__)
    if node.op == "call_method":
        return args[0].item()
    return node.target(*args, **kwargs)  # type: ignore[operator]
