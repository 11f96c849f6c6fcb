"""The graphs that a graph calls: branches of a condition, bodies of checkpoints; and what is computed before them.

    before   p = softmax(x);  cond(c, (p) -> log(p), (p) -> 2 p, (p,))              -inf, for the branch sees only p
    after    p = softmax(x);  cond(c, (p, x) -> log_softmax(x), (p, x) -> 2 p, (p, x))

What a called graph is given is computed in it too for as long as its expressions are looked at; what no rule has made
use of is taken out again. The forward and backward of a user's own ``autograd.Function`` are what the user wants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, fx

from tessera.backend.stability.meanings import MEANINGS
from tessera.backend.stability.reading import Reader, changes_mode
from tessera.backend.stability.results_of_calls import follow_results
from tessera.backend.stability.rewriting import rewrite
from tessera.backend.stability.spelling import call_of, example
from tessera.program.graph_copy import copy_graph

LONGEST = 12  # operations before a call that are looked at
_OPERANDS = {"cond": 3, "tag_activation_checkpoint": 1}  # where they begin
_OWN = ("autograd_function_apply",)


@dataclass(frozen=True)
class _Called:
    """A call of graphs: by which names, and the operands that all of them take."""

    node: fx.Node
    kind: str
    names: tuple[str, ...]
    operands: tuple[fx.Node, ...] | None

    def taking(self, operands: tuple[fx.Node, ...]) -> tuple[Any, ...]:
        """The arguments of a call with these operands."""
        before = self.node.args[: _OPERANDS[self.kind]]
        return (*before, operands) if self.kind == "cond" else (*before, *operands)


def rewrite_all(graph_module: fx.GraphModule) -> list[str]:
    """Rewrite a graph and those that it calls; see ``rewrite``."""
    found: list[str] = []
    calls = list(_calls(graph_module))
    times = Counter(name for called in calls for name in called.names)
    for called in calls:
        once = all(times[name] == 1 for name in called.names)
        if once and called.kind == "cond":
            follow_results(graph_module, called.node, called.names, rewrite_all)
        if once and (with_operands := _with_operands(graph_module, called)) is not None:
            found += with_operands
            continue
        for name in called.names:
            if times.pop(name, 0):  # the first call of it
                found += rewrite_all(_graph(graph_module, name))
    return found + rewrite(graph_module)


def _graph(graph_module: fx.GraphModule, name: str) -> fx.GraphModule:
    return cast("fx.GraphModule", getattr(graph_module, name))


def _calls(graph_module: fx.GraphModule) -> Iterator[_Called]:
    for node in graph_module.graph.nodes:
        kind = getattr(node.target, "__name__", "") if node.op == "call_function" else ""
        attributes = [n for n in node.all_input_nodes if n.op == "get_attr"]
        names = tuple(
            str(n.target) for n in attributes if isinstance(getattr(graph_module, str(n.target), None), fx.GraphModule)
        )
        if not names or kind in _OWN:
            continue
        operands = None
        if (first := _OPERANDS.get(kind)) is not None and not node.kwargs.keys() - {"use_reentrant"}:
            given = node.args[first] if kind == "cond" else node.args[first:]
            if isinstance(given, list | tuple) and all(isinstance(one, fx.Node) for one in given):
                operands = tuple(given)
        yield _Called(node, kind, names, operands)


def _with_operands(graph_module: fx.GraphModule, called: _Called) -> list[str] | None:
    """Rewrite the called graphs with what is known of their operands; None where that is of no use."""
    node, operands = called.node, called.operands
    if operands is None:
        return None
    before = _Before(graph_module, node)
    cones = {one: cone for one in operands if (cone := before.cone(one))}
    if not cones:
        return None
    made = {n for cone in cones.values() for n in cone}
    needed = dict.fromkeys(one for n in made for one in n.all_input_nodes if one not in made)
    added = [one for one in needed if one not in operands]
    if not all(isinstance(example(one), Tensor) for one in added):
        return None
    first, _ = _widened(graph_module, called, added, cones, frozenset())
    if not any(one.gained() for one in first):
        return None
    alone = _only_for(node, made)
    graphs, notes = _widened(graph_module, called, added, cones, alone)
    kept = tuple(one for one in (*operands, *added) if any(graph.uses(one) for graph in graphs))
    for name, graph in zip(called.names, graphs, strict=True):
        graph.drop({*operands, *added} - {*kept})
        graph.module.recompile()
        setattr(graph_module, name, graph.module)
    node.args = called.taking(kept)
    return notes


def _widened(
    graph_module: fx.GraphModule,
    called: _Called,
    added: list[fx.Node],
    cones: dict[fx.Node, list[fx.Node]],
    alone: AbstractSet[fx.Node],
) -> tuple[list[_Widened], list[str]]:
    """Copies of the called graphs, rewritten with what is known of their operands, and what was done."""
    graphs, notes = [], list[str]()
    for name in called.names:
        graph = _Widened(copy_graph(_graph(graph_module, name)), called.operands or (), added)
        graph.compute(cones)
        notes += rewrite_all(graph.module)
        graph.forget(alone)
        graphs.append(graph)
    return graphs, notes


def _only_for(call: fx.Node, made: set[fx.Node]) -> set[fx.Node]:
    """Those of ``made`` that nothing but ``call`` needs: they move into what it calls.

    An operand that the taken branch does not use has the gradient 0 in the other, and 0 times infinity is NaN.
    """
    found = set[fx.Node]()
    for node in reversed(call.graph.nodes):
        if node in made and all(user is call or user in found for user in node.users):
            found.add(node)
    return found


class _Before:
    """What a graph computes before a call, as far as rules understand it."""

    def __init__(self, graph_module: fx.GraphModule, call: fx.Node) -> None:
        self._reader = Reader(graph_module)
        self._plain = True
        for node in graph_module.graph.nodes:
            if node is call:
                break
            self._plain = self._plain and not changes_mode(node)
            self._reader.read(node)

    def cone(self, node: fx.Node) -> list[fx.Node]:
        """The operations that ``node`` is made by, in their order; none if it is given, or made otherwise."""
        if not self._plain or not self._understood(node):
            return []
        found, waiting = {node}, [node]
        while waiting and len(found) <= LONGEST:
            for one in waiting.pop().all_input_nodes:
                if one not in found and self._understood(one):
                    found.add(one)
                    waiting.append(one)
        if len(found) > LONGEST:
            return []
        return [n for n in node.graph.nodes if n in found]

    def _understood(self, node: fx.Node) -> bool:
        call, value = call_of(node), self._reader.values.get(node)
        if call is None or call.writes or call.name not in MEANINGS or value is None:
            return False
        return (
            value.op not in ("leaf", "draw")
            and node not in self._reader.delicate
            and not self._reader.is_written_later(node)
        )


class _Widened:
    """A copy of a called graph, that computes its operands and is given what they are made of."""

    def __init__(self, module: fx.GraphModule, operands: tuple[fx.Node, ...], added: list[fx.Node]) -> None:
        self.module = module
        places = [n for n in module.graph.nodes if n.op == "placeholder"]
        self._given = dict(zip(operands, places, strict=True))
        self._made: dict[fx.Node, fx.Node] = {}
        last = places[-1]
        for one in added:
            with module.graph.inserting_after(last):
                last = module.graph.placeholder(f"{one.name}_before")
            last.meta = dict(one.meta)
            self._given[one] = last
        self._last = last
        self._uses = {one: len(place.users) for one, place in self._given.items()}

    def compute(self, cones: dict[fx.Node, list[fx.Node]]) -> None:
        """Compute the operands of ``cones`` anew, and use them instead of what is given."""
        wanted = {n for cone in cones.values() for n in cone}
        sources = dict(self._given)
        for node in next(iter(wanted)).graph.nodes:
            if node not in wanted:
                continue
            with self.module.graph.inserting_after(self._last):
                made = self.module.graph.node_copy(node, sources.__getitem__)
            made.meta = dict(node.meta)
            self._last = made
            if node in self._given:
                self._given[node].replace_all_uses_with(made, delete_user_cb=lambda user: user not in self._copies())
            self._made[node] = sources[node] = made

    def _copies(self) -> set[fx.Node]:
        return set(self._made.values())

    def forget(self, alone: AbstractSet[fx.Node]) -> None:
        """Use what is given wherever no rule has made something else of it, unless nobody else needs that."""
        alive = set(self.module.graph.nodes)
        for node, made in reversed(self._made.items()):
            if made not in alive:
                continue
            if node in self._given and node not in alone:
                made.replace_all_uses_with(self._given[node])
            if not made.users:
                self.module.graph.erase_node(made)

    def uses(self, one: fx.Node) -> bool:
        return bool(self._given[one].users)

    def gained(self) -> bool:
        """Whether a rule has made use of what the operands are made of."""
        alive = set(self.module.graph.nodes)
        return any(made in alive for made in self._made.values()) or any(
            len(place.users) > self._uses[one] for one, place in self._given.items()
        )

    def drop(self, unused: set[fx.Node]) -> None:
        for one in unused:
            self.module.graph.erase_node(self._given[one])
