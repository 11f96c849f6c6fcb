"""Which node of a Program is the first whose compiled value is wrong, and who made it so: a pass, or Inductor.

The Program as it was captured is evaluated one operation at a time. Then every pass is made again, one after the other,
and the first one behind which a result is off is to blame; from that result both graphs are followed up to the node
where they part. Where no pass is, ever shorter beginnings of the graph are compiled, until one node is left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.evaluation import Evaluation, Judge, evaluate
from tessera.backend.passes.outline_regions import OUTLINE_REGIONS
from tessera.backend.pipeline import PIPELINE
from tessera.backend.rewrite import Pass
from tessera.backend.runner import run_pipeline
from tessera.debug.closeness import Difference
from tessera.errors import SourceLine
from tessera.program import COPY, Program, copy_graph, describe, layer_path, source_line


@dataclass(frozen=True)
class Blame:
    """The first node that is wrong.

    Attributes:
        who: what made it wrong, such as ``the pass fold_scale``.
        operator: of the node, such as ``aten.mul.Tensor``.
        where: the user's line.
        layer: its layer, or "".
        difference: of the value that is right and the one that is not.
    """

    who: str
    operator: str
    where: SourceLine | None
    layer: str
    difference: Difference

    def __str__(self) -> str:
        layer = f" in the layer {self.layer}" if self.layer else ""
        off = f"it is {self.difference}, off by {self.difference.off:.3g}"
        return f"{self.operator}{layer}: {off} where rounding explains {self.difference.allowed:.3g}; {self.who}"


End = tuple[str, int]


def wrong_ends(plain: Evaluation, judge: Judge, ends: Mapping[End, Any]) -> dict[End, Difference]:
    """Which of the compiled ``ends`` of a Program differ from those of ``plain``, and by how much."""
    return {end: off for end, node in plain.ends().items() if (off := judge.off(node, ends.get(end))) is not None}


def blame(
    plain: Evaluation,
    judge: Judge,
    inputs: Sequence[Any],
    own_passes: Sequence[Pass],
    off: Mapping[End, Difference],
) -> Blame:
    """Who made compiled ends of a Program differ from those of ``plain``; ``off`` are those that do."""
    end, worst = max(off.items(), key=lambda item: item[1].off - item[1].allowed)
    whole = _named(plain.ends()[end], worst, "the compiled code as a whole makes it so")
    try:
        return _of_a_pass(plain, judge, inputs, own_passes) or _shortest(plain, judge, inputs, off) or whole
    except Exception:  # that it is wrong is known; a pass or compiler that fails a second time does not hide it
        return whole


def _of_a_pass(plain: Evaluation, judge: Judge, inputs: Sequence[Any], own_passes: Sequence[Pass]) -> Blame | None:
    last = plain
    for rewrite in [p for p in PIPELINE if p is not OUTLINE_REGIONS] + list(own_passes):
        after = _after(last.program, rewrite, own=rewrite in own_passes)
        if after is None:
            continue
        if (found := _evaluated(after, inputs)) is None:
            continue
        for end, node in found.ends().items():
            right = plain.ends().get(end)
            if right is not None and (here := judge.off(right, found.values[node])) is not None:
                # The graph just before that pass is the one that it changed.
                pair = (last.ends()[end], node) if end in last.ends() else (right, node)
                before = last if end in last.ends() else plain
                return _parted(before, found, judge.of(before), pair, here, f"made so by the pass {rewrite.name}")
        last = found
    return None


def _evaluated(program: Program, inputs: Sequence[Any]) -> Evaluation | None:
    try:
        return evaluate(program, inputs)
    except Exception:  # an operator that only compiled code can run: its pass is not looked into
        return None


def _after(program: Program, rewrite: Pass, *, own: bool) -> Program | None:
    """The Program behind one more pass, if that changes anything."""
    copied = dataclasses.replace(program, graph_module=copy_graph(program.graph_module), notes=[])
    records = run_pipeline(copied, [] if own else [rewrite], [rewrite] if own else [])
    return copied if records[-1].matches else None


def _parted(
    plain: Evaluation, found: Evaluation, judge: Judge, ends: tuple[fx.Node, fx.Node], off: Difference, who: str
) -> Blame:
    """Follow two nodes whose values differ to where the difference comes from."""
    right, wrong = ends
    seen = {ends}
    named = {node.name: node for node in plain.program.graph.nodes}
    while True:
        pairs = list(zip(_operands(right), _operands(wrong), strict=False))
        if right.target != wrong.target:  # what was replaced: go on where a node of the same name is off already
            pairs = [(named[n.name], n) for n in _ancestors(wrong) if n.name in named and n.op == "call_function"]
        for pair in pairs:
            if pair not in seen and (here := judge.off(pair[0], found.values[pair[1]])) is not None:
                (right, wrong), off = pair, here
                seen.add(pair)
                break
        else:
            return _named(right, off, who)


def _operands(node: fx.Node) -> list[fx.Node]:
    """In the order of its arguments, which ``all_input_nodes`` loses when one of them is replaced."""
    found: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), found.append)
    return found


def _ancestors(node: fx.Node) -> list[fx.Node]:
    """All that ``node`` is computed from, the first first."""
    waiting, found = list(node.all_input_nodes), set[fx.Node]()
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += each.all_input_nodes
    return [each for each in node.graph.nodes if each in found]


def _named(node: fx.Node, off: Difference, who: str) -> Blame:
    return Blame(who, describe(node).split(" ")[0], source_line(node), layer_path(node), off)


def _shortest(plain: Evaluation, judge: Judge, inputs: Sequence[Any], off: Mapping[End, Difference]) -> Blame | None:
    """The first node that Inductor computes wrongly, with nothing behind it."""
    ends = [plain.ends()[end] for end in off]
    candidates = [n for n in plain.program.graph.nodes if n in {*ends, *(a for e in ends for a in _ancestors(e))}]
    candidates = [n for n in candidates if n.op == "call_function" and _is_number(plain.values[n])]
    first, last, found = 0, len(candidates) - 1, None
    while first <= last:
        middle = (first + last) // 2
        wrong = judge.off(candidates[middle], _compiled(plain.program, candidates[middle], inputs))
        if wrong is None:
            first = middle + 1
        else:
            found, last = _named(candidates[middle], wrong, "made so by the code that Inductor wrote"), middle - 1
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype.is_floating_point


@torch.no_grad()
def _compiled(program: Program, node: fx.Node, inputs: Sequence[Any]) -> Any:
    """What Inductor computes for one node; None where it cannot be compiled alone."""
    graph_module = copy_graph(program.graph_module)
    graph = graph_module.graph
    for write in graph.find_nodes(op="call_function", target=COPY):
        write.replace_all_uses_with(write.args[1])
        graph.erase_node(write)
    graph.output_node().args = ((next(n for n in graph.nodes if n.name == node.name),),)
    graph.eliminate_dead_code()
    graph_module.recompile()
    random = torch.get_rng_state()
    try:
        examples = [n.meta["val"] for n in graph.find_nodes(op="placeholder")]
        output = torch_internals.compile_with_inductor(graph_module, examples)
        return output.call([v.detach().clone() if isinstance(v, torch.Tensor) else v for v in inputs])[0]
    except Exception:
        return None
    finally:
        torch.set_rng_state(random)
