"""A Program: one functional ATen graph of a whole job, with the meaning of every input and output.

The graph mutates state only through trailing ``aten.copy_(input, new_value)`` nodes, one for each input it updates
(the backend may gather them into writes of many inputs); everything before them is pure. So a pass may move, merge or
drop any node that is not such a write or an output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera.program.memory_budget import MemoryBudget
from tessera.program.precision import Precision
from tessera.program.roles import Role

COPY = torch.ops.aten.copy_.default


@dataclass(frozen=True)
class Value:
    """One input or output of a Program: its name in the user's words and its role."""

    name: str
    role: Role


@dataclass
class Program:
    """One graph of a whole job.

    Attributes:
        name: what the job is, for the Report (``"training step of GPT"``).
        graph_module: the graph; one placeholder for each of ``inputs``, in order.
        inputs: name and role of each placeholder.
        outputs: name and role of each returned value.
        precision: what is asked of its products.
        examples: real values of the inputs, for a pass that looks at what a rewrite does to them; none: nobody looks.
        memory_budget: what the job may take of memory; None: what it takes.
        notes: what passes have to say, for the Report.
    """

    name: str
    graph_module: fx.GraphModule
    inputs: list[Value]
    outputs: list[Value]
    precision: Precision = field(default_factory=Precision)
    examples: Sequence[Any] = ()
    notes: list[str] = field(default_factory=list)
    memory_budget: MemoryBudget | None = None

    @property
    def graph(self) -> fx.Graph:
        return self.graph_module.graph

    @property
    def placeholders(self) -> list[fx.Node]:
        return list(self.graph.find_nodes(op="placeholder"))

    @property
    def results(self) -> list[fx.Node | None]:
        """The returned nodes, aligned with ``outputs``; None, or a number that the graph has as a constant."""
        returned: Any = self.graph.output_node().args[0]
        return list(returned)

    def updates(self) -> Iterator[tuple[fx.Node, fx.Node]]:
        """Pairs ``(placeholder, new value)`` of every input the Program updates in place."""
        for node in self.graph.find_nodes(op="call_function", target=COPY):
            destination, source = node.all_input_nodes
            yield destination, source

    def operations(self) -> int:
        """How many operations the graph holds: what the Report counts before and after a pass."""
        return sum(node.op == "call_function" for node in self.graph.nodes)

    def __str__(self) -> str:
        code: str = self.graph_module.print_readable(print_output=False)
        return code
