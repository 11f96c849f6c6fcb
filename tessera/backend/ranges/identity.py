"""Which nodes hold the same values: under the same positions, or the same values somewhere."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import fx

from tessera import torch_internals

# Every value stays where it is, but for sizes of 1.
_SAME = {"alias", "clone", "detach", "lift_fresh_copy", "lift_fresh", "contiguous", "lift"}
_SPREAD = {"unsqueeze", "squeeze", "expand"}
# The same values in another order or shape.
_MOVED = {"view", "_unsafe_view", "reshape", "permute", "transpose", "t", "mT", "flatten"}
_LARGEST, _LEAST = ("max", "amax"), ("min", "amin")


def operation(node: object) -> str:
    """The name of an ATen operation without its overload, such as ``mul``; empty for everything else.

    One that writes in place has the name of the one that does not.
    """
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return ""
    name = getattr(node.target, "name", None)
    if not callable(name):
        return getattr(node.target, "__name__", "")
    return str(name()).rpartition("::")[2].partition(".")[0].removesuffix("_")


def writes(node: fx.Node) -> fx.Node | None:
    """The node that an operation writes to in place: a composite of torch may do that to what it made itself."""
    name = getattr(node.target, "name", None)
    if node.op != "call_function" or not callable(name) or not str(name()).partition(".")[0].endswith("_"):
        return None
    first = node.args[0] if node.args else None
    return first if isinstance(first, fx.Node) else None


class Identity:
    """Numbers for the values of a graph's nodes, given in the order of the graph."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._content: dict[fx.Node, int] = {}
        self._exact: dict[fx.Node, int] = {}

    def add(self, node: fx.Node) -> None:
        name = operation(node)
        first = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        if first is not None and first in self._content and (name in _SAME or self._keeps_precision(node, name, first)):
            self._exact[node], self._content[node] = self._exact[first], self._content[first]
            return
        random = torch_internals.is_operator(node.target) and torch_internals.is_random(node.target)
        anonymous = not name or random
        key = ("node", node.name) if anonymous else (name, str(node.target), *self._arguments(node, self._exact))
        self._exact[node] = self._number(key)
        if (first is not None and first in self._content and name in _SPREAD | _MOVED) or (
            first is not None and name == "getitem" and node.args[1] == 0 and operation(first) in ("max", "min")
        ):
            self._content[node] = self._content[first]
        else:
            meaning = self._extreme(node, name, first) or (
                key if anonymous else (name, str(node.target), *self._arguments(node, self._content))
            )
            self._content[node] = self._number(meaning)

    def _extreme(self, node: fx.Node, name: str, first: fx.Node | None) -> Hashable | None:
        if first is None or first not in self._content:
            return None
        second = node.args[1] if len(node.args) > 1 else None
        if isinstance(second, fx.Node):
            return None
        for kind, names in (("largest", _LARGEST), ("least", _LEAST)):
            if name in names:
                return kind, self._content[first]
        return None

    def _keeps_precision(self, node: fx.Node, name: str, first: fx.Node) -> bool:
        if name not in ("_to_copy", "to"):
            return False
        before, after = first.meta.get("val"), node.meta.get("val")
        return before is not None and after is not None and before.dtype == after.dtype

    def _arguments(self, node: fx.Node, numbers: dict[fx.Node, int]) -> list[Hashable]:
        def known(value: Any) -> Hashable:
            if isinstance(value, fx.Node):
                return ("number", numbers.get(value, value.name))
            if isinstance(value, (list, tuple)):
                return tuple(known(one) for one in value)
            return repr(value)

        return [*map(known, node.args), *((name, known(value)) for name, value in sorted(node.kwargs.items()))]

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def same(self, a: Any, b: Any) -> bool:
        """Whether two nodes hold the same values at the same positions."""
        return a is b or (a in self._exact and self._exact[a] == self._exact.get(b, -1))

    def content(self, node: Any) -> int:
        """A number for the values of a node, wherever they stand."""
        return self._content.get(node, -1)

    def same_content(self, a: Any, b: Any) -> bool:
        """Whether two nodes hold the same values, each perhaps at other positions."""
        return a in self._content and self._content[a] == self._content.get(b, -1)

    def is_largest_of(self, a: Any, b: Any) -> bool:
        """Whether ``a`` holds the largest of (some dims of) ``b``."""
        return self._of("largest", a, b)

    def is_least_of(self, a: Any, b: Any) -> bool:
        return self._of("least", a, b)

    def _of(self, kind: str, a: Any, b: Any) -> bool:
        wanted = self._numbers.get((kind, self.content(b)))
        return wanted is not None and wanted == self.content(a)
