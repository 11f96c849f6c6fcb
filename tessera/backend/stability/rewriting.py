"""Rewrites a captured graph by the table, node after node, so that later nodes see what earlier ones became."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import fx

from tessera.backend.stability.algebra import Value, scaled
from tessera.backend.stability.bounds import bounds
from tessera.backend.stability.facts import is_shifted
from tessera.backend.stability.guards import guard, is_chosen
from tessera.backend.stability.left_alone import left_alone, spelled_twice
from tessera.backend.stability.meanings import UNARY
from tessera.backend.stability.reading import Reader, changes_mode
from tessera.backend.stability.rule import Rule
from tessera.backend.stability.rules.low_precision import LOW_PRECISION, widened
from tessera.backend.stability.spelling import call_of
from tessera.backend.stability.table import stable
from tessera.backend.stability.to_spare import is_beside, with_digits_to_spare
from tessera.backend.stability.wider import widen
from tessera.backend.stability.writing import CannotWrite, Writer
from tessera.program import mark_as_stable, source_line

GATE = "1 - sigmoid(x) -> sigmoid(-x)"
GUARDED = "where(c, f(x), y) -> where(c, f(where(c, x, 1)), y)"
DIVIDED = "exp(a) / exp(b) -> exp(a - b)"
WIDEST = 64  # nodes between an expression and what it is made of, to be looked at
_ADDS_UP = ("index_add_", "scatter_add_")
_SPELLED = {"log1p": "log1p", "expm1": "expm1", "logsigmoid": "log_sigmoid"}
_ARITHMETIC = ("linear", "squeeze")
_ARITHMETIC_CALLS = ("add", "sub", "mul", "div", "neg", "squeeze", "unsqueeze")
_PLAIN = {*UNARY} - {"sinh"} | {
    "linear",
    "product",
    "softmax",
    "leaf",
    "number",
    "squeeze",
    "move",
    "sum",
    "mean",
    "sech_squared",
    "cast",
    "detach",
}


def rewrite(graph_module: fx.GraphModule) -> list[str]:
    """Rewrite what is unstable; returns what was done, ``"log(softmax) -> log_softmax at model.py:12"``."""
    _leave_nothing_written(graph_module.graph)
    looked_at = _first_look(graph_module)
    sweep = None if looked_at is None else _Sweep(graph_module, *looked_at)
    done = sweep.run() if sweep else []
    reader, meant = Reader(graph_module), set[fx.Node]()
    for node in graph_module.graph.nodes:
        value = reader.read(node)
        if value is not None:
            meant.update(left_alone(node, value))
    gates, spare = (sweep.gates, sweep.spare) if sweep else (set[fx.Node](), set[fx.Node]())
    return done + widen(graph_module.graph, reader, meant, gates, spare)


def _leave_nothing_written(graph: fx.Graph) -> None:
    """Sums that are written to new zeros, which nobody else sees, are sums of their own."""
    for node in graph.nodes:
        if node.op == "call_method" and node.target in _ADDS_UP and isinstance(node.args[0], fx.Node):
            made = getattr(call_of(node.args[0]), "name", "")
            if made in ("zeros", "new_zeros", "zeros_like") and len(node.args[0].users) == 1:
                node.target = str(node.target).rstrip("_")


def _first_look(graph_module: fx.GraphModule) -> tuple[set[fx.Node], set[fx.Node], set[fx.Node]] | None:
    """What is computed for its rounding errors, is meant as it is, or has digits to spare; None if no rule applies."""
    reader, found, meant, spare = Reader(graph_module), False, set[fx.Node](), set[fx.Node]()
    for node in graph_module.graph.nodes:
        value = reader.read(node)
        if value is not None:
            meant.update(left_alone(node, value))
            spare.update(spelled_twice(node, value))
        found = found or is_chosen(node) or (value is not None and _may_change(reader, node, value))
    if not found:
        return None
    tried, beside, others = set[fx.Node](), set[fx.Node](), set[fx.Node]()
    small = any(map(bounds, graph_module.graph.nodes))
    for node, value in reader.values.items():
        if (rule := stable(reader.algebra, value)) is not None:
            is_one_of_many = rule[0].tried_beside and is_beside(node)
            (tried if rule[0].tried else beside if is_one_of_many else others).add(node)
    if tried or beside or (small and others):
        spare |= with_digits_to_spare(graph_module.graph, reader, meant, tried, beside, others)
    return reader.delicate, meant, spare


def _may_change(reader: Reader, node: fx.Node, value: Value) -> bool:
    call = call_of(node)
    divides = call is not None and call.name == "div" and _core(value).op == "exp"
    return divides or stable(reader.algebra, value) is not None


class _Sweep:
    def __init__(
        self, graph_module: fx.GraphModule, delicate: set[fx.Node], meant: set[fx.Node], spare: set[fx.Node]
    ) -> None:
        self._graph = graph_module.graph
        self._reader, self._delicate, self._meant, self.spare = Reader(graph_module), delicate, meant, spare
        self._last_written: set[fx.Node] = set()
        self._done: list[tuple[str, fx.Node]] = []
        self.gates: set[fx.Node] = set()  # written for what a recurrent cell has too
        self._modes: dict[fx.Node, tuple[Callable[[Any], Any], Any]] = {}

    def run(self) -> list[str]:
        gradients = torch.is_grad_enabled()
        try:
            for node in list(self._graph.nodes):
                if changes_mode(node):
                    self._change_mode(node)
                self._visit(node)
        finally:
            while self._modes:
                leave, mode = self._modes.popitem()[1]
                leave(mode)
            torch.set_grad_enabled(gradients)
        alive = set(self._graph.nodes)
        return [text for text, node in self._done if node in alive]

    def _change_mode(self, node: fx.Node) -> None:
        """Be in the mode that the graph is in, for fake results depend on it."""
        target: Any = node.target
        if target.__name__ == "_enter_autocast":
            self._modes[node] = (_leave_autocast(self._graph, node), target(*node.args, **node.kwargs))
        elif target.__name__ == "_exit_autocast":
            leave, mode = self._modes.pop(node.args[0])  # type: ignore[arg-type]
            leave(mode)
        elif "grad_enabled" in target.__name__ and isinstance(node.args[0], bool):
            torch.set_grad_enabled(node.args[0])

    def _visit(self, node: fx.Node) -> None:
        value = self._reader.read(node)
        if value is None:
            return
        if (new := guard(self._reader, node, self._delicate)) is not None:
            self._done.append((f"{GUARDED}{_place(node)}", new))
            self._reader.values[new] = value
            value.node = new if value.node in (node, None) else value.node
            self._replace(node, new, [node])
            self._erase(node)
        elif (found := stable(self._reader.algebra, value)) is not None:
            self._rewrite(node, value, *found)
        elif self._divides_exponentials(node):
            self._divide(node, value)

    def _divides_exponentials(self, node: fx.Node) -> bool:
        """Whether ``node`` is ``exp(a) / exp(b)``, which is read as the exponential that it is on paper."""
        call = call_of(node)
        if call is None or call.name != "div" or call.writes or node in self._delicate or len(call.args) != 2:
            return False
        parts = [self._reader.values.get(one) for one in call.args if isinstance(one, fx.Node)]
        exponents = [_core(one).args[0] for one in parts if one is not None and _core(one).op == "exp"]
        return len(exponents) == 2 and not any(map(is_shifted, exponents))

    def _divide(self, node: fx.Node, value: Value) -> None:
        held, value.node = value.node, None
        core = _core(value)
        before, core.node = core.node, None
        new = self._written(node, value)
        value.node, core.node = held, before
        if new is not None:
            self._replace(node, new, [node])
            self._done.append((f"{DIVIDED}{_place(node)}", new))
            self._reader.values[new] = value
            value.node = new
            self._erase(node)

    def _rewrite(self, node: fx.Node, value: Value, rule: Rule, better: Value) -> None:
        call = call_of(node)
        if call is not None and _SPELLED.get(call.name) == _core(better).op:
            if better.node is None:
                better.node = node
            return
        if call is not None and not call.writes and _is_made_of(node, _known_parts(better)):
            better.node = better.node or node
            return
        owned = self._reader.owned(node) if call is not None and call.writes else [node]
        if owned is None or node in self._delicate or self._is_meant(node, value):
            return
        if node in self.spare:
            return
        if value.node is node:
            value.node = None
        new = self._written(node, better)
        if new is None:
            value.node = value.node or node
            return
        self._replace(node, new, owned)
        self._done.append((f"{rule.name}{_place(node)}", new))
        if rule.name == GATE:
            self.gates |= self._last_written
        self._reader.improve(new, better)
        kept = better if _is_plain(better) and rule not in LOW_PRECISION else value  # on paper a cast is nothing
        if value.node is None or value.node is node:
            value.node = new
        for one in {*owned, node}:
            self._reader.values[one] = kept
        self._reader.values[new] = kept
        self._erase(node)

    def _is_meant(self, node: fx.Node, value: Value) -> bool:
        value = _core(value)
        constant, terms = self._reader.algebra.terms(value)
        if not constant:
            value = scaled(value)[1]
            return value.op == "product" and any(base.node in self._meant for base in value.parts())
        return node in self._meant or (len(terms) == 1 and next(iter(terms)).node in self._meant)

    def _written(self, node: fx.Node, better: Value) -> fx.Node | None:
        writer = Writer(self._graph, node, self._improve)
        try:
            new = writer.replacement(better)
        except CannotWrite:
            return None
        if self._consumes_delicate(node, writer.read):
            writer.undo()
            return None
        self._last_written = set(writer.new_nodes())
        for one in self._last_written:
            mark_as_stable(one)
        # exp(log(x)) is x, but another tensor: whoever writes to it does not write to x.
        return new if new in writer.new_nodes() else writer.call(torch.clone, new)

    def _improve(self, value: Value) -> Value | None:
        found = stable(self._reader.algebra, value)
        return found[1] if found else widened(self._reader.algebra, value)

    def _replace(self, node: fx.Node, new: fx.Node, owned: Iterable[fx.Node]) -> None:
        if "unbacked_bindings" in node.meta:
            new.meta["unbacked_bindings"] = node.meta["unbacked_bindings"]
        node.replace_all_uses_with(new)
        if others := set(owned) - {node}:
            later = node.next
            while later.op != "root":
                for one in others & set(later.all_input_nodes):
                    later.replace_input_with(one, new)
                later = later.next

    def _consumes_delicate(self, node: fx.Node, read: set[fx.Node]) -> bool:
        if not self._delicate:
            return False
        waiting, seen = list(node.all_input_nodes), set[fx.Node]()
        while waiting and len(seen) < WIDEST:
            one = waiting.pop(0)
            if one in seen:
                continue
            seen.add(one)
            if one in self._delicate:
                return True
            if one not in read:
                waiting += one.all_input_nodes
        return False

    def _erase(self, node: fx.Node) -> None:
        """Take out what nobody uses any more."""
        waiting = {node: None}
        while waiting:
            one, _ = waiting.popitem()
            call = call_of(one)
            if one.users or call is None or (call.writes and one is not node):
                continue
            if (value := self._reader.values.get(one)) is not None and value.node is one:
                value.node = None
            self._reader.release(one)
            waiting |= dict.fromkeys(one.all_input_nodes)
            self._graph.erase_node(one)


def _known_parts(value: Value) -> set[fx.Node] | None:
    """The nodes that ``value`` is a sum of; None where something has to be computed for it."""
    found = set[fx.Node]()
    for part in value.parts():
        if part.node is not None:
            found.add(part.node)
        elif part.op in _ARITHMETIC and (inner := _known_parts(part)) is not None:
            found |= inner
        elif part.number is None:
            return None
    return found if value.op in _ARITHMETIC else None


def _is_made_of(node: fx.Node, parts: set[fx.Node] | None, depth: int = 0) -> bool:
    """Whether ``node`` adds up nothing but ``parts``, so that its user has spelled it stably already."""
    if parts is None or depth > len(_ARITHMETIC_CALLS):
        return False
    call = call_of(node)
    return (
        call is not None
        and call.name in _ARITHMETIC_CALLS
        and all(one in parts or _is_made_of(one, parts, depth + 1) for one in node.all_input_nodes)
    )


def _core(value: Value) -> Value:
    return value.args[0] if value.op == "squeeze" else value


def _is_plain(value: Value, depth: int = 0) -> bool:
    """Whether it is made of operations that rules know."""
    return value.op in _PLAIN and (
        depth > 4 or value.op == "leaf" or all(_is_plain(v, depth + 1) for v in value.parts())
    )


def _place(node: fx.Node) -> str:
    where = source_line(node)
    return f" at {where.file}:{where.line}" if where else ""


def _leave_autocast(graph: fx.Graph, entered: fx.Node) -> Callable[[Any], Any]:
    """What the graph leaves an autocast with."""
    exits = [n.target for n in graph.nodes if n.op == "call_function" and entered in n.args[:1]]
    return exits[0] if exits else lambda mode: mode.__exit__(None, None, None)
