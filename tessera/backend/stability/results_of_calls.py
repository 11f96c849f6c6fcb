"""What is computed of what a condition returns is computed in its branches, where a rule can make use of it there.

before   p = cond(c, (x) -> softmax(x), (x) -> sigmoid(x), (x,));  log(p)             -inf, for p is not known
after    p, q = cond(c, (x) -> softmax(x), log_softmax(x), (x) -> sigmoid(x), logsigmoid(x), (x,));  q
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from torch import fx

from tessera.backend.stability.aliases import Aliases
from tessera.backend.stability.meanings import MEANINGS
from tessera.backend.stability.reading import changes_mode
from tessera.backend.stability.spelling import call_of, example
from tessera.program.graph_copy import copy_graph

LONGEST = 12  # operations behind a condition that are looked at

Rewrite = Callable[[fx.GraphModule], list[str]]


def follow_results(graph_module: fx.GraphModule, call: fx.Node, names: Sequence[str], rewrite: Rewrite) -> None:
    """Move what follows the condition ``call`` into its branches, if ``rewrite`` finds more to do in one then."""
    results = {user: user.args[1] for user in call.users if user.target is operator.getitem}
    behind = _behind(graph_module.graph, results)
    exits = [node for node in behind if any(user not in behind for user in node.users)]
    if not exits or len(results) < len(call.users):
        return
    branches = [cast("fx.GraphModule", getattr(graph_module, name)) for name in names]
    known = Counter(rewrite(_apart(graph_module, list(results), behind, exits)))
    longer = [_longer(branch, results, behind, exits) for branch in branches]
    if not any(
        Counter(rewrite(copy_graph(new))) - Counter(rewrite(copy_graph(branch))) - known
        for new, branch in zip(longer, branches, strict=True)
    ):
        return
    for name, new in zip(names, longer, strict=True):
        setattr(graph_module, name, new)
    _read_instead(graph_module.graph, call, behind, exits)
    _drop_unread(call, longer)


def _behind(graph: fx.Graph, results: Mapping[fx.Node, object]) -> list[fx.Node]:
    """The operations that are computed of ``results`` alone, in their order."""
    aliases, known, found = Aliases(graph), {*results}, list[fx.Node]()
    for node in graph.nodes:
        if changes_mode(node) or len(found) == LONGEST:
            break
        call, inputs = call_of(node), {*node.all_input_nodes}
        if node in known or call is None or call.writes or call.name not in MEANINGS or not inputs or inputs - known:
            continue
        if not any(aliases.is_written(one) for one in (node, *inputs)):
            found.append(node)
            known.add(node)
    return found if found and not any(aliases.is_written(one) for one in results) else []


def _apart(
    owner: fx.GraphModule, results: list[fx.Node], behind: list[fx.Node], exits: list[fx.Node]
) -> fx.GraphModule:
    """What follows the condition as a graph of its own."""
    graph = fx.Graph()
    made = dict[fx.Node, fx.Node]()
    for node in results:
        made[node] = graph.placeholder(node.name)
        made[node].meta = dict(node.meta)
    for node in behind:
        made[node] = graph.node_copy(node, made.__getitem__)
    graph.output(tuple(made[node] for node in exits))
    return fx.GraphModule(owner, graph)


def _longer(
    branch: fx.GraphModule, results: Mapping[fx.Node, object], behind: list[fx.Node], exits: list[fx.Node]
) -> fx.GraphModule:
    """A copy of a branch that goes on with what follows, and returns that too."""
    new = copy_graph(branch)
    (output,) = new.graph.find_nodes(op="output")
    returned = cast("tuple[fx.Node, ...]", output.args[0])
    made = {node: returned[cast("int", at)] for node, at in results.items()}
    with new.graph.inserting_before(output):
        for node in behind:
            made[node] = new.graph.node_copy(node, made.__getitem__)
    output.args = ((*returned, *(made[node] for node in exits)),)
    new.recompile()
    return new


def _read_instead(graph: fx.Graph, call: fx.Node, behind: list[fx.Node], exits: list[fx.Node]) -> None:
    first = len(example(call))
    call.meta["example_value"] = (*example(call), *(example(node) for node in exits))
    for at, node in enumerate(exits):
        with graph.inserting_before(node):
            read = graph.call_function(operator.getitem, (call, first + at))
        read.meta = dict(node.meta)
        node.replace_all_uses_with(read)
    for node in reversed(behind):
        if not node.users:
            graph.erase_node(node)


def _drop_unread(call: fx.Node, branches: list[fx.GraphModule]) -> None:
    """Return no more what is not read: its gradient would be 0, and 0 times infinity is NaN."""
    for read in list(call.users):
        if not read.users:
            call.graph.erase_node(read)
    kept = sorted({cast("int", read.args[1]) for read in call.users})
    for read in list(call.users):
        read.args = (call, kept.index(cast("int", read.args[1])))
    call.meta["example_value"] = tuple(example(call)[at] for at in kept)
    for branch in branches:
        (output,) = branch.graph.find_nodes(op="output")
        returned = cast("tuple[fx.Node, ...]", output.args[0])
        output.args = (tuple(returned[at] for at in kept),)
        branch.recompile()
