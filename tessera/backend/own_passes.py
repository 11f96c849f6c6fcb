"""Passes that a user wrote: they run behind Tessera's own, and are watched more closely.

Of its own passes Tessera knows that a count of 0 means an untouched graph. Of another's nothing is taken for granted:
every shape is computed anew, and what the Program returns and updates stays what it was.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.rewrite import Pass
from tessera.backend.time_limit import time_limit
from tessera.backend.verify import broken, verify, written_inputs
from tessera.errors import SettingError
from tessera.program import Program, describe

LONGEST_S = 60.0  # that such a pass may take


def resolve_passes(passes: Sequence[Pass]) -> tuple[Pass, ...]:
    """What was passed as ``passes=``.

    Raises:
        SettingError: something in it is no ``Pass``, or two have one name.
    """
    found = tuple(passes) if isinstance(passes, (list, tuple)) else (passes,)
    for one in found:
        if not isinstance(one, Pass):
            raise SettingError(
                f"passes= holds {one!r:.80}, a {type(one).__name__}.",
                "Each is a tessera.Pass: a name, a promise and a function that changes a Program.",
                'Write passes=[tessera.Pass("fold_scale", "close", fold_scale)].',
            )
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise SettingError(
            f"passes= holds {max(names, key=names.count)!r} twice.",
            "The Report tells passes apart by their names.",
            "Give each a name of its own.",
        )
    return found


def watched(rewrite: Pass) -> Pass:
    """``rewrite``, which raises where it did what no pass may do."""

    def apply(program: Program) -> int:
        kept, targets = _contract(program), {node.target for node in program.graph.nodes}
        with time_limit(LONGEST_S):
            matches = rewrite.apply(program)
        if type(matches) is not int or matches < 0:
            raise TypeError(f"it returned {matches!r:.80}, not the number of places that it changed")
        program.graph.eliminate_dead_code()
        verify(program)
        _check_operators(program, targets)
        _compute_anew(program)
        _compare(kept, _contract(program))
        return matches or int(kept[2] != _text(program))

    return Pass(rewrite.name, rewrite.promise, apply, rewrite.looks_for)


_Contract = tuple[list[str], list[Any], str]


def _contract(program: Program) -> _Contract:
    """Which inputs are updated, what is returned, and the graph as text."""
    updated = sorted(node.name for node in program.graph.nodes for node in written_inputs(node))
    return updated, [_kind(node) for node in program.results], _text(program)


def _kind(node: fx.Node | None) -> Any:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return (value.dtype, tuple(value.shape)) if isinstance(value, torch.Tensor) else None


def _text(program: Program) -> str:
    return "\n".join(f"{node.name} {node.target} {node.args} {node.kwargs}" for node in program.graph.nodes)


def _compare(before: _Contract, after: _Contract) -> None:
    if dropped := set(before[0]) - set(after[0]):
        raise broken(f"input {min(dropped)} is not updated any more.")
    if added := set(after[0]) - set(before[0]):
        raise broken(f"input {min(added)} is updated and was not before.")
    for position, (was, now) in enumerate(zip(before[1], after[1], strict=True)):
        if was != now:
            raise broken(f"output {position} was {was} and is {now}.")


def _check_operators(program: Program, before: set[Any]) -> None:
    for node in program.graph.nodes:
        if node.op != "call_function" or node.target in before or node.target is operator.getitem:
            continue
        if not torch_internals.is_operator(node.target):
            raise broken(f"{describe(node)} is no operator of torch.ops, as torch.ops.aten.add.Tensor is one.")
        if torch_internals.writes(node.target):
            raise broken(f"{describe(node)} changes its argument, where every operation makes a new value.")


def _compute_anew(program: Program) -> None:
    """Run every operation on tensors without data: what a node is said to be must be what it is."""
    fake_mode = torch_internals.fake_mode_of([node.meta.get("val") for node in program.placeholders])
    for node in program.graph.nodes:
        said = node.meta.get("val")
        if not torch_internals.is_operator(node.target) or not isinstance(said, torch.Tensor) or written_inputs(node):
            continue
        found = torch_internals.computed_anew(node, fake_mode)
        if not isinstance(found, torch.Tensor) or (found.dtype, found.shape) != (said.dtype, said.shape):
            now = f"{found.dtype}{list(found.shape)}" if isinstance(found, torch.Tensor) else type(found).__name__
            raise broken(f"{describe(node)} is said to be {said.dtype}{list(said.shape)} and computes {now}.")
