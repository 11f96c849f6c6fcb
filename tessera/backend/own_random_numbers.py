"""``random="tessera"`` in a graph: random operators become functions of a key while forward and backward are traced.

    before   kept = native_dropout(x, 0.1)                          a kernel and library call of their own
    after    key = randint(2**63 - 1, [])
             kept = where(random_words(key, x.shape) < ..., ...)    in the kernel that uses it

What is done stands in the Report, and so does every operator that still draws from torch.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import fx

from tessera import torch_internals
from tessera.program import describe
from tessera.random.operators import OPERATORS, draws_key
from tessera.random.source import Source


class OwnRandomNumbers:
    """The decompositions of one capture, and what they did.

    Args:
        source: where its random operators draw from.
    """

    def __init__(self, source: Source) -> None:
        self._drawn: Counter[str] = Counter()
        rules = OPERATORS if source == "tessera" else {}
        self.decompositions: dict[Any, Callable[..., Any]] = {
            operator: functools.partial(self._draw, operator, rule) for operator, rule in rules.items()
        }

    def _draw(self, operator: Any, rule: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = rule(*args, **kwargs)
        if value is not NotImplemented:
            self._drawn[operator.overloadpacket.__name__] += 1
        return value

    def forget(self) -> None:
        """What was traced is traced anew."""
        self._drawn.clear()

    def notes(self, graph: fx.Graph) -> list[str]:
        """What to say of the joint graph that was traced, for the Report."""
        if not self.decompositions:
            return []
        drawn = [f"{count} {name}" for name, count in sorted(self._drawn.items())]
        notes = [f"Tessera's random numbers: {', '.join(drawn)}"] if drawn else []
        self.forget()
        return notes + [f"torch's random numbers: {describe(node)}" for node in graph.nodes if _draws_from_torch(node)]


def _draws_from_torch(node: fx.Node) -> bool:
    if node.op != "call_function" or not torch_internals.is_operator(node.target):
        return False
    return torch_internals.draws_random_numbers(node) and not draws_key(node.target, node.args)
