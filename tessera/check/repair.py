"""Which line to blame: the one whose smallest edit makes everything fit.

Where two sizes differ either may be the wrong one. So the function is run again with one small edit at a time: of a
call of torch on the way, of what made a layer, of the text that Python ran, or of an annotation. Where an edit leaves
nothing to be found, its line is the one that was wrong, and the edit says what to write. All of it runs in plain
numbers: that is quick, and a size has one text.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.annotation_edits import AnnotationEdit, annotation_edits
from tessera.check.call import Call
from tessera.check.finding import Finding
from tessera.check.history import Site
from tessera.check.layer_rewrites import LayerEdit, layer_edits
from tessera.check.remade import Remade, how_made
from tessera.check.rewrites import Rewrite, rewrites
from tessera.check.run import Outcome, Plan, put_back
from tessera.check.text_repairs import EditedText, edited_texts
from tessera.check.visited import Place, visited
from tessera.errors import SourceLine
from tessera.shapes.signature import Contract

Edit = tuple[Site, Rewrite] | LayerEdit | EditedText | AnnotationEdit
Attempt = Callable[[Plan, Edit | None], tuple[Outcome, Finding | None] | None]
_MOST_SECONDS = 6.0
_NEAR = 0.05  # how much dearer an edit may be than the cheapest and still be what was meant
_ALSO = 0.3  # the same, of other lines that are told beside the one that is blamed
_MOST_OTHERS = 2
_SMALL = 4


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


def mended(outcome: Outcome, found: Finding, attempt: Attempt, contract: Contract, *, has_layers: bool) -> Finding:
    """A finding at the line of the smallest edit that leaves nothing wrong, with that edit as its first fix.

    Args:
        outcome: the run in which something is wrong.
        found: what it is; given back as it is where no edit helps.
        attempt: runs a plan with an edit, and says what is wrong then; None where that is no program.
        contract: of the function.
        has_layers: whether what is run is the module itself, so that its layers may be others.
    """
    good = _repairs(replace(outcome.plan, in_numbers=True), attempt, contract, has_layers=has_layers)
    if not good:
        return found
    near = [one for one in good if one.cost <= good[0].cost + _NEAR]
    chosen = next((one for one in near if _is_at(one, found.where)), good[0])
    others = list(dict.fromkeys(one.where for one in good if not _is_at(one, chosen.where)))[:_MOST_OTHERS]
    found = replace(found, fixes=(f"{chosen.text}, in line {chosen.where.line}", *found.fixes), others=tuple(others))
    if _is_at(chosen, found.where):
        return found
    hurts = found.hurts or found.where
    return replace(found, where=chosen.where, hurts=None if _is_at(chosen, hurts) else hurts, columns=None)


def _is_at(one: _Candidate, where: SourceLine) -> bool:
    return (one.where.file, one.where.line) == (where.file, where.line)


def _repairs(plan: Plan, attempt: Attempt, contract: Contract, *, has_layers: bool) -> list[_Candidate]:
    """The cheapest edits after which nothing is wrong."""
    ends = time.process_time() + _MOST_SECONDS  # of this process: what else the machine does decides nothing
    with visited() as gone:
        ran = attempt(plan, None)
    if ran is None or ran[1] is None:
        return []
    base, good = ran[0], list[_Candidate]()
    root = base.root if has_layers else None
    made = how_made(root, _sizes(base)) if root is not None else None
    candidates = [*_candidates(base, made, has_layers=has_layers), *_written(base, gone.names, contract, made)]
    for candidate in sorted(candidates, key=lambda c: (c.cost, -c.position)):
        if (good and candidate.cost > good[0].cost + _ALSO) or time.process_time() > ends:
            break
        again = attempt(plan, candidate.edit)
        if again is not None and again[0].error is None and again[1] is None and _lines(base) <= _lines(again[0]):
            good.append(candidate)
    return good


def _lines(outcome: Outcome) -> set[SourceLine]:
    """Where it has been: an edit that only leads the code another way mends nothing."""
    return {call.where for call in outcome.history.calls if call.where is not None}


def _one_apart(base: Outcome) -> bool:
    """Whether two sizes that meet where it raised differ by one."""
    tensors = base.failing.tensors if base.failing is not None else torch_internals.tensors_in(base.result)
    known = {size for tensor in tensors for size in map(base.world.number, tensor.shape) if size is not None}
    known |= set(base.plan.examples.values()) if base.failing is None else set()
    return any(size + 1 in known for size in known if size > _SMALL)


def _written(
    base: Outcome, gone_through: Mapping[Place, Mapping[str, Any]], contract: Contract, made: Remade | None
) -> Iterator[_Candidate]:
    """Edits of the text of what ran, and of its annotations."""
    last = {call.where: at for at, call in enumerate(base.history.calls)}
    sizes = _sizes(base)
    edits = [*edited_texts(gone_through, sizes, error=base.error, sliced=_one_apart(base))]
    if made is not None:
        edits += edited_texts(made.names, sizes, made.given)
    for edit in edits:
        yield _Candidate(edit.edit.cost, edit.where, edit.edit.text, edit, last.get(edit.where, 0))
    for one in annotation_edits(contract, sizes):
        yield _Candidate(one.cost, one.where, one.text, one, 0)


def _candidates(base: Outcome, made: Remade | None, *, has_layers: bool) -> Iterator[_Candidate]:
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
        lines = made.lines if made is not None else {}
        for edit in layer_edits(base.root, base.world.mode, used, fixed, lines):
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
