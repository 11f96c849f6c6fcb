"""Whether a step bears its low precision: the loss and the gradients of a real batch, beside those of float32.

Both graphs are run one operation at a time, and what nobody reads any more is freed. Where the result is off, they are
run once more side by side, and every value is compared where it is made: so the first one that is off is found.

Gradients of deep networks with batch norms are ill-conditioned: rounding the weights alone to bf16 turns those of a
ResNet-18 by a quarter. But they are estimates anyhow, and another batch turns them far more. So where they are off by
more than usual, they may be so by a part of what the gradients of half the batch are.

References:
    McCandlish et al., An empirical model of large-batch training, 2018, arXiv:1812.06162.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.memory_pool import release_free_memory
from tessera.program import COPY, Phase, Program, Role

LOSS_LIMIT = 0.02  # bf16 is usually off by less than 0.001
GRADIENT_LIMIT = 0.1  # bf16 is usually off by 0.01
NOISE_SHARE = 1 / 3  # of what half the batch changes, where that is more
LARGEST_LIMIT = 0.5  # whatever half the batch changes: the direction is still the same within 30 degrees
_SMALL = 0.05  # the root mean square of a gradient beside that of all: below, its direction matters little


@dataclass
class Verdict:
    """What was found. Errors are relative, in the 2-norm; infinite where low precision alone is not finite.

    Attributes:
        loss: error of the loss.
        gradients: error of all gradients as one vector.
        worst: the largest error of one gradient that is not small.
        noise: what the gradients of half the batch are off, where somebody looked.
        first_off: where it does not hold, the first node, in the order of the graph, that is off by more than
            ``limit``.
    """

    loss: float
    gradients: float
    worst: float
    noise: float = 0.0
    first_off: fx.Node | None = None

    @property
    def limit(self) -> float:
        """What ``gradients`` may be."""
        return max(GRADIENT_LIMIT, min(LARGEST_LIMIT, NOISE_SHARE * self.noise))

    @property
    def holds(self) -> bool:
        """Whether the step may be computed so."""
        return self.loss <= LOSS_LIMIT and self.gradients <= self.limit and self.worst <= min(3 * self.limit, 0.75)

    def __str__(self) -> str:
        beside = f" (those of half the batch are by {self.noise:.1e})" if self.noise else ""
        return f"loss off by {self.loss:.1e}, gradients by {self.gradients:.1e}{beside}"


@torch.no_grad()
def compare(full: Program, low: Program, stands_for: Callable[[fx.Node], fx.Node | None]) -> Verdict:
    """Run forward and backward of ``full`` and ``low`` on the examples of ``full``.

    Args:
        full: the Program as it was.
        low: the Program with products in low precision.
        stands_for: the node of ``low`` with the value of a node of ``full``, if there is one.
    """
    losses, gradients = _losses(full), _gradients(full)
    pairs = {n: other for n in full.graph.nodes if n in {*losses, *gradients} and (other := stands_for(n)) is not None}
    random_state = torch.get_rng_state()
    try:
        # One after the other, for each needs about as much memory as the step in eager mode.
        values = list(_values(full, list(pairs), full.examples))
        torch.set_rng_state(random_state)
        others = _values(low, list(pairs.values()), full.examples)
        errors = {node: _difference(value, next(others)[1]) for node, value in values}
        of_losses, of_gradients = ([e for n in nodes if (e := errors.get(n))] for nodes in (losses, gradients))
        verdict = _verdict(of_losses, of_gradients)
        if not verdict.holds and verdict.loss <= LOSS_LIMIT and verdict.gradients <= LARGEST_LIMIT:
            torch.set_rng_state(random_state)
            verdict.noise = _noise(full, [node for node, _ in values if node in gradients], dict(values))
        if not verdict.holds:
            verdict.first_off = _first_off(full, low, stands_for, list(pairs), verdict.limit)
    finally:
        torch.set_rng_state(random_state)
        release_free_memory()
    return verdict


def _values(program: Program, nodes: Sequence[fx.Node], examples: Sequence[Any]) -> Iterator[tuple[fx.Node, Any]]:
    """The values of ``nodes``, which are in the order of the graph."""
    run = _Run(program, nodes, examples)
    run.keep(nodes)
    for node in nodes:
        yield node, run.value(node)


def _noise(full: Program, gradients: Sequence[fx.Node], known: Mapping[fx.Node, Any]) -> float:
    """How far off the gradients are when the second half of the batch repeats the first."""
    halved = [
        _first_half_twice(example) if value.role is Role.BATCH else example
        for value, example in zip(full.inputs, full.examples, strict=True)
    ]
    try:
        errors = [_difference(known[node], other) for node, other in _values(full, gradients, halved)]
    except Exception:  # a batch whose parts belong together cannot be halved, and nothing is known
        return 0.0
    return _together([error for error in errors if error]).relative


def _first_half_twice(example: Any) -> Any:
    if not isinstance(example, torch.Tensor) or example.dim() == 0 or len(example) < 2:
        return example
    half = len(example) // 2
    return torch.cat([example[:half], example[:half], example[2 * half :]])


def _first_off(
    full: Program,
    low: Program,
    stands_for: Callable[[fx.Node], fx.Node | None],
    watched: Sequence[fx.Node],
    limit: float,
) -> fx.Node | None:
    ours = _Run(full, watched, full.examples)
    theirs = _Run(low, [stands_for(node) for node in watched], full.examples)  # type: ignore[misc]
    pairs = {node: other for node in ours.nodes if (other := stands_for(node)) in theirs.nodes}
    ours.keep(list(pairs))
    theirs.keep(list(pairs.values()))
    for node, other in pairs.items():
        value = ours.value(node)
        if _is_random(node):
            theirs.give(other, value)
        found = _difference(value, theirs.value(other))
        if found is not None and found.off > limit * found.norm:
            return node
    return None


class _Run:
    """One graph on its way, its values kept as long as somebody reads them."""

    def __init__(self, program: Program, wanted: Iterable[fx.Node], examples: Iterable[Any]) -> None:
        self.nodes = _ancestors(program, wanted)
        self._left = iter(self.nodes)
        self._readers = Counter(source for node in self.nodes for source in node.all_input_nodes)
        self._given: dict[fx.Node, Any] = dict(zip(program.placeholders, examples, strict=True))
        self._values: dict[fx.Node, Any] = {}
        self._module = program.graph_module

    def keep(self, nodes: Iterable[fx.Node]) -> None:
        """The values of ``nodes`` will each be asked for once."""
        self._readers.update(nodes)

    def give(self, node: fx.Node, value: Any) -> None:
        """Take ``value`` for a node instead of computing it."""
        self._given[node] = value

    def value(self, node: fx.Node) -> Any:
        while node not in self._values:
            self._compute(next(self._left))
        return self._read(node)

    def _compute(self, node: fx.Node) -> None:
        if node in self._given:
            value = self._given.pop(node)
            for source in node.all_input_nodes:
                self._read(source)
        elif node.op == "get_attr":
            value = getattr(self._module, str(node.target))
        else:
            read = {source: self._read(source) for source in node.all_input_nodes}
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), read.__getitem__)
            value = node.target(*args, **kwargs)  # type: ignore[operator]
        if self._readers[node]:
            self._values[node] = value

    def _read(self, node: fx.Node) -> Any:
        self._readers[node] -= 1
        return self._values[node] if self._readers[node] else self._values.pop(node)


def _ancestors(program: Program, wanted: Iterable[fx.Node]) -> dict[fx.Node, None]:
    """``wanted`` and all they are computed from, in the order of the graph."""
    waiting, found = list(wanted), set()
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return dict.fromkeys(node for node in program.graph.nodes if node in found)


def _losses(program: Program) -> list[fx.Node]:
    named = zip(program.results, program.outputs, strict=True)
    return [node for node, output in named if node is not None and output.role is Role.LOSS]


def _gradients(program: Program) -> list[fx.Node]:
    """What the backward leaves to clipping and update, and to the sums over micro-batches."""
    sums = {n for n, i in zip(program.placeholders, program.inputs, strict=True) if i.role is Role.ACCUMULATOR}

    def is_read(node: fx.Node) -> Iterator[bool]:
        for user in node.users:
            yield user.meta.get("phase") in (Phase.CLIP, Phase.UPDATE, Phase.CHECK) and user.target is not COPY
            yield user.target is COPY and user.args[0] in sums and user.args[1] is node

    return [n for n in program.graph.nodes if n.meta.get("phase") == Phase.BACKWARD and any(is_read(n))]


def _is_random(node: fx.Node) -> bool:
    return torch_internals.is_operator(node.target) and torch_internals.is_random(node.target)


@dataclass(frozen=True)
class _Error:
    """The norm of a difference, that of the value itself, and how many numbers it has."""

    off: float
    norm: float
    count: int

    @property
    def relative(self) -> float:
        return self.off / self.norm if self.norm else math.inf if self.off else 0.0


def _difference(value: Any, other: Any) -> _Error | None:
    """None where there is nothing to compare."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return None
    norm = float(torch.linalg.vector_norm(value.float()))
    if not math.isfinite(norm):  # a mask is infinite in any precision, and an overflow of float32 is not ours
        return None
    off = float(torch.linalg.vector_norm(other.float() - value.float()))
    return _Error(off if math.isfinite(off) else math.inf, norm, value.numel())


def _verdict(losses: list[_Error], gradients: list[_Error]) -> Verdict:
    everything = _together(gradients)
    small = _SMALL * everything.norm / math.sqrt(max(1, everything.count))
    large = [e for e in gradients if e.norm > small * math.sqrt(e.count)]
    return Verdict(
        max((e.relative for e in losses), default=0.0),
        everything.relative,
        max((e.relative for e in large), default=0.0),
    )


def _together(errors: Sequence[_Error]) -> _Error:
    """As if they were one vector."""
    off, norm = math.hypot(*(e.off for e in errors)), math.hypot(*(e.norm for e in errors))
    return _Error(off, norm, sum(e.count for e in errors))
