"""What a pass is: a name, a promise and one function from Program to the number of places it changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tessera.program import Program


@dataclass(frozen=True)
class Pass:
    """One rewrite of a Program: ``train_step(..., passes=[Pass("fold_scale", "close", fold_scale)])``.

    Attributes:
        name: what it does, as a verb phrase; the name of its file.
        promise: ``"bitwise"`` when every result keeps its bits, ``"close"`` when rounding may differ.
        apply: rewrites the graph in place and returns how many places matched (0: it left the graph alone). What it
            adds are operators of ``torch.ops`` with their fake result in ``node.meta["val"]``.

    Example:
        >>> def fold_scale(program):
        ...     scales = program.graph.find_nodes(op="call_function", target=torch.ops.aten.mul.Tensor)
        ...     folded = [node for node in scales if node.args[1] == 1.0]
        ...     for node in folded:
        ...         node.replace_all_uses_with(node.args[0])
        ...     return len(folded)
    """

    name: str
    promise: Literal["bitwise", "close"]
    apply: Callable[[Program], int]
