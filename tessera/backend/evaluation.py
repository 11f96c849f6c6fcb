"""The values of all nodes of a Program, computed one operation at a time, with what they would be without rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera.debug.closeness import Difference, difference
from tessera.debug.doubled import Doubled
from tessera.program import COPY, Program


@dataclass
class Evaluation:
    """What one evaluation found.

    Attributes:
        program: that was evaluated.
        values: of every node.
        exact: in double precision, of those that are tensors.
        written: what inputs hold afterwards, by position, of those that change.
    """

    program: Program
    values: dict[fx.Node, Any]
    exact: dict[fx.Node, torch.Tensor]
    written: dict[int, Any] = field(default_factory=dict)

    def ends(self) -> dict[tuple[str, int], fx.Node]:
        """The nodes of what is returned and of what inputs become, by position."""
        results = {("result", i): node for i, node in enumerate(self.program.results) if isinstance(node, fx.Node)}
        at = {node: i for i, node in enumerate(self.program.placeholders)}
        return results | {("update", at[into]): value for into, value in self.program.updates()}

    def results(self) -> list[Any]:
        """What the Program returns."""
        return [self.values[node] if isinstance(node, fx.Node) else node for node in self.program.results]


@torch.no_grad()
def evaluate(program: Program, inputs: Sequence[Any], *, exactly: bool = True, draws: bool = False) -> Evaluation:
    """Run ``program`` on ``inputs``, which stay as they are; so does the random stream, unless it ``draws`` for good.

    Writes to inputs are not made: what would be written is in ``written``. A Program whose updates were gathered into
    one operation writes into copies.
    """
    random = torch.get_rng_state()
    doubled = Doubled()
    given = [value.detach().clone() if isinstance(value, torch.Tensor) else value for value in inputs]
    values: dict[fx.Node, Any] = dict(zip(program.placeholders, given, strict=True))
    try:
        if exactly:
            with doubled:
                _run(program, values)
        else:
            _run(program, values)
    finally:
        if not draws:
            torch.set_rng_state(random)
    exact = {node: doubled.of(v) for node, v in values.items() if isinstance(v, torch.Tensor)} if exactly else {}
    found = Evaluation(program, values, exact)
    found.written = {i: values[node] for (kind, i), node in found.ends().items() if kind == "update"}
    return found


def _run(program: Program, values: dict[fx.Node, Any]) -> None:
    for node in program.graph.nodes:
        if node.op == "get_attr":
            values[node] = _attribute(program.graph_module, str(node.target))
        elif node.op == "call_function":
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = args[1] if node.target is COPY else node.target(*args, **kwargs)


def _attribute(owner: Any, path: str) -> Any:
    for part in path.split("."):
        owner = getattr(owner, part)
    return owner


def moved_inputs(inputs: Sequence[Any]) -> list[Any]:
    """``inputs`` with every float moved by about one rounding of its dtype."""
    draw = torch.Generator().manual_seed(0)

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.dtype.itemsize == 1:
            return value
        noise = torch.randn(value.shape, generator=draw, dtype=torch.float64).to(value.device)
        return (value.detach().double() * (1 + torch.finfo(value.dtype).eps * noise)).to(value.dtype)

    return [moved(value) for value in inputs]


class Judge:
    """Compares values with those of an evaluation, by what rounding explains.

    Args:
        precision: the coarsest rounding that products were lowered to, as ``finfo.eps``; 0 for none.
    """

    def __init__(self, plain: Evaluation, inputs: Sequence[Any], precision: float) -> None:
        self._plain, self._inputs, self._precision = plain, inputs, precision
        self._moved: Evaluation | None = None

    def of(self, other: Evaluation) -> Judge:
        """The same for another evaluation on the same inputs."""
        return Judge(other, self._inputs, self._precision)

    def off(self, node: fx.Node, other: Any) -> Difference | None:
        """How far ``other`` is from the value of ``node``, if rounding does not explain it."""
        value = self._plain.values[node]
        if not isinstance(value, torch.Tensor) or not isinstance(other, torch.Tensor) or value.is_meta:
            return None
        exact = self._plain.exact[node]
        found = difference(value, other, exact, self._precision)
        if found.is_explained or value.shape != other.shape or not value.dtype.is_floating_point:
            return None if found.is_explained else found
        if self._moved is None:  # only where something is off is it asked what its inputs' own rounding does
            self._moved = evaluate(self._plain.program, moved_inputs(self._inputs), exactly=False)
        moved = (self._moved.values[node].double() - value.double()).abs()
        spread = float(moved[torch.isfinite(moved)].max()) if torch.isfinite(moved).any() else 0.0
        found = difference(value, other, exact, self._precision, spread)
        return None if found.is_explained else found
