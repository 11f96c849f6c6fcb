"""Which line to blame: the one whose smallest edit makes everything fit.

Where two sizes differ either may be the wrong one. So the function is run again with one small edit at a time, of a
call of torch on the way or of what made a layer. Where an edit leaves nothing to be found, its line is the one that was
wrong, and the edit says what to write. All of it runs in plain numbers: that is quick, and a size has one text.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.call import Call
from tessera.check.finding import Finding
from tessera.check.history import Site
from tessera.check.layer_rewrites import LayerEdit, layer_edits
from tessera.check.rewrites import Rewrite, rewrites
from tessera.check.run import Outcome, Plan, put_back
from tessera.errors import SourceLine

Edit = tuple[Site, Rewrite] | LayerEdit
_MOST_SECONDS = 4.0
_NEAR = 0.05  # how much dearer an edit may be than the cheapest and still be what was meant


@dataclass(frozen=True)
class _Candidate:
    """An edit of one line.

    Attributes:
        cost: in edits of one number.
        where: the line.
        text: the edit, as code.
        edit: the same to run with.
        position: of the last call it is of, among all calls.
    """

    cost: float
    where: SourceLine
    text: str
    edit: Edit
    position: int


def mended(
    outcome: Outcome,
    found: Finding,
    attempt: Callable[[Plan, Edit | None], Outcome | None],
    wrong: Callable[[Outcome], Finding | None],
    *,
    has_layers: bool,
) -> Finding:
    """A finding at the line of the smallest edit that leaves nothing wrong, with that edit as its first fix.

    Args:
        outcome: the run in which something is wrong.
        found: what it is; given back as it is where no edit helps.
        attempt: runs a plan with an edit.
        wrong: judges a run.
        has_layers: whether what is run is the module itself, so that its layers may be others.
    """
    good = _repairs(replace(outcome.plan, in_numbers=True), attempt, wrong, has_layers=has_layers)
    if not good:
        return found
    chosen = next((one for one in good if _is_at(one, found.where)), good[0])
    fixes = (f"{chosen.text}, in line {chosen.where.line}", *found.fixes)
    if _is_at(chosen, found.where):
        return replace(found, fixes=fixes)
    hurts = found.hurts or found.where
    return replace(found, where=chosen.where, hurts=None if _is_at(chosen, hurts) else hurts, fixes=fixes, columns=None)


def _is_at(one: _Candidate, where: SourceLine) -> bool:
    return (one.where.file, one.where.line) == (where.file, where.line)


def _repairs(
    plan: Plan,
    attempt: Callable[[Plan, Edit | None], Outcome | None],
    wrong: Callable[[Outcome], Finding | None],
    *,
    has_layers: bool,
) -> list[_Candidate]:
    """The cheapest edits after which nothing is wrong."""
    ends = time.process_time() + _MOST_SECONDS  # of this process: what else the machine does decides nothing
    base = attempt(plan, None)
    if base is None or wrong(base) is None:
        return []
    good: list[_Candidate] = []
    for candidate in sorted(_candidates(base, has_layers=has_layers), key=lambda c: (c.cost, -c.position)):
        if (good and candidate.cost > good[0].cost + _NEAR) or time.process_time() > ends:
            break
        again = attempt(plan, candidate.edit)
        if again is not None and again.error is None and wrong(again) is None and _sites(base) <= _sites(again):
            good.append(candidate)
    return good


def _sites(outcome: Outcome) -> set[tuple[CodeType, int]]:
    """Where it has been: an edit that only leads the code another way mends nothing."""
    return {call.site[:2] for call in outcome.history.calls if call.site is not None}


def _candidates(base: Outcome, *, has_layers: bool) -> Iterator[_Candidate]:
    sizes = _sizes(base)
    sites: dict[Site, tuple[Call, int]] = {}
    layers: dict[int, int] = {}
    for position, call in enumerate(base.history.calls):
        if call.site is not None:
            sites[call.site] = call, position
        if call.module is not None:
            layers[id(call.module)] = position
    for site, (call, position) in sites.items():
        if call.where is not None:
            for rewrite in _that_matter(call, rewrites(call, sizes, base.world), base):
                yield _Candidate(rewrite.cost, call.where, rewrite.text, (site, rewrite), position)
    if base.root is not None and has_layers:
        used = [call.module for call in base.history.calls if call.module is not None]
        if base.place is not None and base.place.layer:  # it may have raised before it called anything
            used.append(base.root.get_submodule(base.place.layer))
        declared = base.plan.examples.values()
        fixed = [size for size in sizes if all(size % one for one in declared)]  # no layer is made for any size
        for edit in layer_edits(base.root, base.world.mode, used, fixed):
            yield _Candidate(edit.cost, edit.where, edit.text, edit, layers.get(id(edit.last), len(base.history.calls)))


def _that_matter(call: Call, some: Iterator[Rewrite], base: Outcome) -> list[Rewrite]:
    """Those that give another result, the cheapest for each."""
    seen, matter = {_kinds(call.result)}, []
    with put_back(None), base.world.mode, base.world.silent():
        every: list[Rewrite] = []
        with contextlib.suppress(Exception):  # a size that depends on data, a call of another form
            every += some
        for rewrite in sorted(every, key=lambda rewrite: rewrite.cost):
            with contextlib.suppress(Exception):  # torch does not take it
                function, args, kwargs = rewrite.pieces((call.function, tuple(call.args), call.kwargs))
                kinds = _kinds(rewrite.after(function(*args, **kwargs)))
                if kinds not in seen:
                    seen.add(kinds)
                    matter.append(rewrite)
    return matter


def _kinds(result: Any) -> str:
    """All that is known of a result without its data."""
    leaves, _ = torch_internals.flattened(result)
    return str([(list(leaf.shape), leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves])


def _sizes(base: Outcome) -> list[int]:
    """Numbers that may be what should stand where another does: all that are sizes here."""
    call = base.failing
    tensors = list(call.tensors) if call is not None else torch_internals.tensors_in(base.result)
    if base.root is not None:
        tensors += base.root.parameters()
    found = {base.world.number(size) for tensor in tensors for size in tensor.shape}
    return sorted(size for size in found | set(base.plan.examples.values()) if size is not None and size > 1)
