"""Powers of sizes as products, for ExecuTorch, whose programs multiply sizes and know no power of one.

``linear`` of ``[batch, n, n, channels]`` is decomposed into a view of ``batch * n ** 2`` rows. Such sizes come up when
a program is decomposed, so this is done afterwards.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

from torch import fx


def multiply_for_powers(module: fx.GraphModule) -> Any:
    """A pass of ExecuTorch's over what is in its own operators."""
    from torch.fx.passes.infra.pass_base import PassResult

    changed = False
    for each in module.modules():
        if isinstance(each, fx.GraphModule) and _rewritten(each.graph):
            each.recompile()
            changed = True
    return PassResult(module, changed)


def _rewritten(graph: fx.Graph) -> bool:
    powers = [
        node
        for target in (operator.pow, pow)
        for node in graph.find_nodes(op="call_function", target=target)
        if isinstance(node.args[1], int) and node.args[1] > 0
    ]
    for node in powers:
        base, exponent = node.args

        def product(one: fx.Node, other: fx.Node, like: fx.Node = node) -> fx.Node:
            made = graph.call_function(operator.mul, (one, other))
            made.meta = {**like.meta, "val": one.meta["val"] * other.meta["val"]}
            return made

        with graph.inserting_before(node):
            node.replace_all_uses_with(reduce(product, [base] * exponent))
        graph.erase_node(node)
    return bool(powers)
