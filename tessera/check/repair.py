"""Which line to blame: the one whose smallest edit makes everything fit.

Where two sizes differ either may be the wrong one. So the function is run again with one small edit at a time: of a
call of torch on the way, of what made a layer, of the text that Python ran, or of an annotation. Where an edit leaves
nothing to be found, its line is the one that was wrong, and the edit says what to write. All of it runs in plain
numbers: that is quick, and a size has one text.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.annotation_edits import AnnotationEdit
from tessera.check.budget import Budget
from tessera.check.candidates import Candidate, Edit, candidates
from tessera.check.finding import Finding
from tessera.check.oddities import NEW_SHAPES, dearer, fewest, gives_back, odd
from tessera.check.pointless import suspects
from tessera.check.rewrites import Rewrite
from tessera.check.run import Outcome, Plan
from tessera.check.text_repairs import EditedText
from tessera.check.visited import Place, visited
from tessera.errors import SourceLine
from tessera.shapes.signature import Contract

Attempt = Callable[[Plan, Edit | None, Budget], tuple[Outcome, Finding | None] | None]
_MOST_WORK, _MORE_FOR_DECLARED = 80_000, 10_000  # operations for all edits; for annotations, which come last
_OF_AN_EDIT = 20  # operations that making one takes, about
_NEAR = 0.04  # how much dearer an edit may be than the cheapest and still be what was meant
_ALSO = 0.3  # the same, of other lines that are told beside the one that is blamed
_ALSO_DECLARED = 0.5  # the same, of annotations: there are few edits of them
_PROVES_NOTHING = 1.65  # an edit of this price lets anything pass: no line is blamed for it
_SUSPECTED = 0.25  # less, in a line that does nothing as it is
_GIVES_BACK = 0.2  # more, for another order of the sizes in a line that gives a shape back
_MOST_OTHERS = 2
_MOST_RIGHT = 2  # other ways through the code that are gone again with each edit that mends


def mended(
    outcome: Outcome,
    found: Finding,
    attempt: Attempt,
    contract: Contract,
    right: Sequence[Plan] = (),
    *,
    has_layers: bool,
) -> Finding:
    """A finding at the line of the smallest edit that leaves nothing wrong, with that edit as its first fix.

    Args:
        outcome: the run in which something is wrong.
        found: what it is; given back as it is where no edit helps.
        attempt: runs a plan with an edit, and says what is wrong then; None where that is no program.
        contract: of the function.
        right: what nothing is wrong with; an edit that mends one way through the code and breaks another is none.
        has_layers: whether what is run is the module itself, so that its layers may be others.
    """
    try:
        good = _repairs(outcome.plan, found, attempt, contract, right, has_layers=has_layers)
    except Exception:  # noqa: BLE001 - what was found is told, even where looking for what mends it fails
        return found
    if not good or good[0].cost > _PROVES_NOTHING:
        return replace(found, others=tuple(one.where for one in good[:1] if not _is_at(one, found.where)))
    if isinstance(good[0].edit, AnnotationEdit) and _is_handed_through(outcome):  # something was left out of the code
        return replace(found, others=(good[0].where,))
    near = [one for one in good if one.cost <= good[0].cost + _NEAR]
    chosen = next((one for one in near if _is_at(one, found.where)), good[0])
    others = list(dict.fromkeys(one.where for one in good if not _is_at(one, chosen.where)))[:_MOST_OTHERS]
    found = replace(found, fixes=(f"{chosen.text}, in line {chosen.where.line}", *found.fixes), others=tuple(others))
    if _is_at(chosen, found.where):
        return found
    hurts = found.hurts or found.where
    return replace(found, where=chosen.where, hurts=None if _is_at(chosen, hurts) else hurts, columns=None)


def _is_handed_through(outcome: Outcome) -> bool:
    """Whether the result is an argument as it came."""
    result = outcome.result
    return isinstance(result, torch.Tensor) and outcome.history.made_by(result) is None


def _is_at(one: Candidate, where: SourceLine) -> bool:
    return (one.where.file, one.where.line) == (where.file, where.line)


def _repairs(
    plan: Plan, found: Finding, attempt: Attempt, contract: Contract, right: Sequence[Plan], *, has_layers: bool
) -> list[Candidate]:
    """The cheapest edits after which nothing is wrong."""
    for bare in (True, False):
        plan = replace(plan, in_numbers=True, bare=bare)
        work = Budget(_MOST_WORK)
        with visited() as gone:
            ran = attempt(plan, None, work)
        if ran is None or ran[1] is None or (bare and not _is_same(ran, found)):
            continue
        good = _that_mend(ran[0], gone.names, attempt, contract, right, has_layers=has_layers, work=work)
        if good or not bare:
            return good
    return []


def _is_same(ran: tuple[Outcome, Finding | None], found: Finding) -> bool:
    """Whether a run failed as it was found to fail, and not because its tensors are others."""
    error, again = ran[0].error, ran[1]
    own = isinstance(error, NotImplementedError) or any(word in str(error) for word in ("meta", "grad"))
    return not own and again is not None and (again.kind, again.where) == (found.kind, found.where)


def _that_mend(
    base: Outcome,
    names: Mapping[Place, Mapping[str, Any]],
    attempt: Attempt,
    contract: Contract,
    right: Sequence[Plan],
    *,
    has_layers: bool,
    work: Budget,
) -> list[Candidate]:
    """The cheapest edits of what a run went through, after which nothing is wrong."""
    plan, good, oddities, further = base.plan, list[Candidate](), list[tuple[int, ...]](), 0.0
    odd_before = odd(base)
    others = [replace(one, in_numbers=True, bare=plan.bare) for one in right[:_MOST_RIGHT]]
    others = [one for one in others if _is_right(attempt(one, None, work))]
    looking = Budget(work.left / 2, work)
    for candidate in candidates(base, names, contract, has_layers=has_layers, work=looking):
        declared = isinstance(candidate.edit, AnnotationEdit)
        if good and candidate.cost > good[0].cost + further + (_ALSO_DECLARED if declared else _ALSO):
            continue
        if work.is_over(_MORE_FOR_DECLARED * declared):
            continue
        work.spend(_OF_AN_EDIT)
        again = attempt(plan, candidate.edit, work)
        if again is None or not _is_right(again) or not _goes_as_far(again[0], base):
            continue
        if _has_empty(again[0]) and not _has_empty(base):
            continue
        if all(_is_right(attempt(one, candidate.edit, work)) for one in others):
            good.append(candidate)
            oddities.append(odd(again[0]))
            further = dearer(fewest(oddities), odd_before)
    more = [dearer(one, fewest(oddities)) for one in oddities]
    suspected = suspects(base)
    given_back = gives_back(base)
    more = [
        up - _SUSPECTED * (one.where in suspected) + _GIVES_BACK * (one.where in given_back and _orders(one, base))
        for one, up in zip(good, more, strict=True)
    ]
    good = [replace(one, cost=one.cost + up) for one, up in zip(good, more, strict=True)]
    return sorted(good, key=lambda one: one.cost)


def _is_right(ran: tuple[Outcome, Finding | None] | None) -> bool:
    return ran is not None and ran[0].error is None and ran[1] is None


def _orders(one: Candidate, base: Outcome) -> bool:
    """Whether an edit gives the sizes of a new shape another order."""
    match one.edit:
        case EditedText(edit=edit):
            return isinstance(edit.old, ast.Call) and ast.unparse(edit.old.func).rpartition(".")[2] in NEW_SHAPES
        case (_, Rewrite()):
            return base.history.calls[one.position].name in NEW_SHAPES
    return False


def _has_empty(outcome: Outcome) -> bool:
    """Whether a tensor without elements was made; nobody means one."""
    results = torch_internals.tensors_in([call.result for call in outcome.history.calls])
    return any(outcome.world.number(size) == 0 for tensor in results for size in tensor.shape)


def _goes_as_far(again: Outcome, base: Outcome) -> bool:
    """Whether it has been wherever the other was: an edit that only leads the code another way mends nothing.

    Nor does one after which a loop ends before the turn that raised; only an index that is too large is one turn more.
    """
    if not _lines(base) <= _lines(again):
        return False
    failing = base.failing
    if failing is None or failing.where is None or isinstance(base.error, IndexError):
        return True
    before, behind = _turns(base, failing.where), _turns(again, failing.where)
    return behind.get(failing.name, max(behind.values())) >= before[failing.name]


def _lines(outcome: Outcome) -> set[SourceLine]:
    """Where it has been."""
    return {call.where for call in outcome.history.calls if call.where is not None}


def _turns(outcome: Outcome, where: SourceLine) -> Counter[str]:
    """How often a line called what; an edit may leave one of its calls out."""
    return Counter(call.name for call in outcome.history.calls if call.where == where)
