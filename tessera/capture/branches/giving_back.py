"""What a branch returns of the arguments is returned itself: a compiled branch has only a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import fx

from tessera.capture.branches.proof import GivenBack


def with_decisions(graph_module: fx.GraphModule, those: Sequence[GivenBack]) -> None:
    """Let the graph return what decides about ``those``, behind its results."""
    output = graph_module.graph.output_node()
    results: Any = output.args[0]
    output.args = ((*results, *(back.decides for back in those)),)
    graph_module.recompile()


def giving_back(compiled: Callable[..., Any], those: Sequence[GivenBack]) -> Callable[..., Any]:
    """``compiled``, without what decides and with arguments in place of their copies."""

    def call(*inputs: Any) -> tuple[Any, ...]:
        found = list(compiled(*inputs))
        results, decisions = found[: -len(those)], found[-len(those) :]
        for back, decides in zip(those, decisions, strict=True):
            if bool(decides) is back.wanted:
                results[back.result] = inputs[back.given]
        return tuple(results)

    return call if those else compiled
