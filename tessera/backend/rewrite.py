"""What a pass is: a name, a promise and one function from Program to the number of places it changed.

An early pass is the same before autograd: it sees what Dynamo captured, of which forward and backward are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import fx

from tessera.program import Program


@dataclass(frozen=True)
class Pass:
    """One rewrite of a Program: ``train_step(..., passes=[Pass("fold_scale", "close", fold_scale)])``.

    Attributes:
        name: what it does, as a verb phrase; the name of its file.
        promise: ``"bitwise"`` when every result keeps its bits, ``"close"`` when rounding may differ.
        apply: rewrites the graph in place and returns how many places matched (0: it left the graph alone). What it
            adds are operators of ``torch.ops`` with their fake result in ``node.meta["val"]``.
        looks_for: what it needs to find, for the Report where there is none.

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
    looks_for: str = ""


@dataclass
class Captured:
    """A graph as Dynamo captured it: PyTorch functions and methods on tensors, of which some may be written to.

    Attributes:
        name: what the job is, for the Report.
        graph_module: the graph.
        inputs: examples of its inputs.
        abroad: whether what is compiled is for another device than the inputs are on.
        stabilise: whether unstable expressions may become stable ones.
        notes: what passes have to say, for the Report.
    """

    name: str
    graph_module: fx.GraphModule
    inputs: Sequence[Any]
    abroad: bool = False
    stabilise: bool = True
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class EarlyPass:
    """One rewrite of what was captured; see ``Pass``."""

    name: str
    promise: Literal["bitwise", "close"]
    apply: Callable[[Captured], int]
