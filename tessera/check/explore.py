"""All worlds in which a function is run: both sides of every ``if``, and sizes that divide where it divides.

A finding is what is wrong in every world that has the same way through the code. What goes away with other numbers -
even sizes where a size is halved, short ones where a table has an end - is a condition on the sizes, and a note.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from tessera.check.annotation_edits import AnnotationEdit
from tessera.check.arguments import CannotMake, variants
from tessera.check.budget import Budget
from tessera.check.candidates import Edit
from tessera.check.counts import asks_for_others, other_counts
from tessera.check.finding import CheckReport, Finding
from tessera.check.hidden import hidden_spread
from tessera.check.history import Site
from tessera.check.judge import (
    could_not_run,
    declared_result,
    finding_of,
    has_own_dtype,
    is_cut_short,
    knows_no_symbols,
    refused,
)
from tessera.check.layer_rewrites import LayerEdit
from tessera.check.numerics import numerics_findings
from tessera.check.repair import mended
from tessera.check.rewrites import Rewrite
from tessera.check.run import Outcome, Plan, put_back, run
from tessera.check.text_repairs import EditedText
from tessera.check.world import LARGE, SMALL, LoopsOverSize, Question, TakesTooLong
from tessera.shapes.signature import Contract, specs_in
from tessera.users_code import installed_are_libraries

_MOST_RUNS, _MOST_WORK = 48, 40_000  # of one function; operations
_MOST_WORK_OF_SYMBOLS = 4_000  # of one run; arithmetic of symbols in a long loop is slow, and numbers will do
_MOST_WORK_ON_SAME_LINES = 1_500  # a dozen layers that are alike; what they ask of symbols the first ones asked
_MOST_WORK_OF_AN_EDIT = 8_000
_VERY_LARGE = tuple(prime * 64 + 1 for prime in LARGE)
_MOST_DIVISOR = 256  # that a size may be taken to be a multiple of
_DTYPES = (torch.int64, torch.bool, torch.float32)


def explore(
    function: Callable[..., Any],
    contract: Contract,
    root: torch.nn.Module | None = None,
    own_numbers: Sequence[int] = (),
) -> CheckReport:
    """Check one function against its contract.

    Args:
        function: what is called.
        contract: of it.
        root: the module that it belongs to, for paths of layers and to be put back as it was.
        own_numbers: sizes that the module was made with; a name in its annotations may stand for one.
    """
    with installed_are_libraries(but_for=contract.where.file if contract.where is not None else ""):
        return _Exploration(function, contract, root, own_numbers).report


class _Exploration:
    def __init__(
        self,
        function: Callable[..., Any],
        contract: Contract,
        root: torch.nn.Module | None,
        own_numbers: Sequence[int],
    ) -> None:
        self._own_numbers = own_numbers
        self._function, self._contract, self._root = function, contract, root
        self._has_small_numbers = False
        self._runs_to_its_end: Outcome | None = None
        self._right: list[Plan] = []  # after which nothing was wrong
        self._wrong: list[tuple[Outcome, Finding]] = []
        self._runs, self._work = 0, Budget(_MOST_WORK)
        self._seen: set[tuple[Any, ...]] = set()  # a condition with an answer that was met
        self.report = CheckReport(checked=[contract.name])
        names = (*contract.names, *(n for n in _names_of_result(contract) if n not in contract.names))
        self._names = names
        self._numbers = dict(zip(names, LARGE, strict=False))
        try:
            plans = [Plan(self._numbers, choice) for choice in variants(contract)]
            while plans and self._may_go_on():
                outcome = self._settle(self._short(plans.pop(0)))
                if self._runs_to_its_end is None and outcome.error is None:
                    self._runs_to_its_end = outcome
                self._warn_of_squeezes(outcome)
                plans += self._other_sides(outcome)
            self._blame()
            if plans:
                self._note(f"{contract.name} was checked only in part: there are too many ways through it.")
            if self._runs_to_its_end is not None:
                with put_back(root):
                    for finding in numerics_findings(function, contract, self._runs_to_its_end):
                        self.report.add(finding)
        except CannotMake as unknown:
            self._note(str(unknown))
        except TakesTooLong:
            self._blame()
            self._note(f"{contract.name} was checked only in part: one run took more than {_MOST_WORK} operations.")

    def _may_go_on(self) -> bool:
        """Whether there may be one more run."""
        return self._runs < _MOST_RUNS and not self._work.is_over()

    def _attempt(self, plan: Plan, edit: Edit | None, work: Budget) -> tuple[Outcome, Finding | None] | None:
        """A run with an edit and what is wrong with it; None where that is no program.

        Of an edited run that raised nobody asks for the reason.
        """
        function, root, contract = self._function, self._root, self._contract
        rewrite: tuple[Site, Rewrite] | None = None
        try:
            match edit:
                case LayerEdit() if root is not None:
                    function = root = edit.applied(root)
                case EditedText():
                    if (edited := edit.applied(function, root)) is None:
                        return None
                    function, root = edited
                case AnnotationEdit():
                    contract = edit.contract
                case tuple():
                    rewrite = edit
            work = Budget(_MOST_WORK_OF_AN_EDIT, work)
            outcome = run(function, contract, plan, root, rewrite=rewrite, work=work)
            found = None
            if outcome.error is None:
                found = declared_result(outcome, contract) or hidden_spread(outcome, contract.name)
            elif edit is None:
                found = finding_of(outcome, contract)
        except (Exception, TakesTooLong):  # noqa: BLE001 - the user's constructors and code may raise anything
            return None
        return outcome, found

    def _run(self, plan: Plan) -> Outcome:
        self._runs += 1
        may_be_long = max(plan.examples.values(), default=0) <= max(SMALL) or self._has_small_numbers
        work = Budget(_MOST_WORK, self._work)
        if not plan.in_numbers:
            work = Budget(_MOST_WORK_OF_SYMBOLS, self._work, idle=_MOST_WORK_ON_SAME_LINES)
        try:
            records = self._runs_to_its_end is None
            return run(
                self._function, self._contract, plan, self._root, may_be_long=may_be_long, work=work, records=records
            )
        except TakesTooLong as too_long:
            if plan.in_numbers:
                raise
            outcome = self._run(replace(plan, in_numbers=True))
            outcome.in_symbols = too_long.world
            self._note(
                f"{self._contract.name} is deep: its last layers and what is behind them were run with numbers alone; "
                "of an `if` on a size there one side was seen."
            )
            return outcome
        except LoopsOverSize:
            self._has_small_numbers = True
            self._numbers = dict(zip(self._names, SMALL, strict=False))
            return self._run(self._short(plan))

    def _short(self, plan: Plan) -> Plan:
        """The plan with small numbers where a loop runs over a size, but for those that were chosen for a reason."""
        if not self._has_small_numbers:
            return plan
        usual = dict(zip(self._names, LARGE, strict=False))
        small = {n: self._numbers.get(n, x) if x == usual.get(n) else x for n, x in plan.examples.items()}
        return replace(plan, examples=small)

    def _warn_of_squeezes(self, outcome: Outcome) -> None:
        for where, left in outcome.history.squeezed:
            why = f"squeeze() removes every dimension of size 1, {' and '.join(left)} too where it is 1."
            fixes = ("x.squeeze(dim) with the dimension that is meant",)
            self.report.add(Finding("size", "warning", self._contract.name, where, why, fixes=fixes))

    def _settle(self, plan: Plan) -> Outcome:
        """Run a plan, and where it fails the same with other dtypes and sizes; reports what stays wrong."""
        outcome = self._run(plan)
        if not plan.in_numbers and knows_no_symbols(outcome):
            return self._settle(replace(plan, in_numbers=True))
        found = self._finding(outcome)
        if found is None:
            self._right += [outcome.plan] if outcome.error is None else []
            return outcome
        for other, condition in self._alternatives(outcome):
            if not self._may_go_on():
                break
            again = self._run(other)
            if not other.in_numbers and knows_no_symbols(again):
                other = replace(other, in_numbers=True)  # noqa: PLW2901 - the same plan
                again = self._run(other)
            if not _same_way(again, outcome):
                continue
            still = self._finding(again)
            if still is None and self._is_chance(other):
                continue
            if still is None or _further(again, outcome) or asks_for_others(again, outcome):
                if condition:
                    self._note(condition)
                self._right += [again.plan] if still is None and again.error is None else []
                return again if still is None else self._settle(other)
            if is_cut_short(outcome) and not is_cut_short(again):
                outcome, found = again, still
        if found not in (other for _, other in self._wrong):
            self._wrong.append((outcome, found))
        return outcome

    def _is_chance(self, plan: Plan) -> bool:
        """Whether small sizes are right only because one of them is a number of the program's; others are not."""
        small = dict(zip(self._names, SMALL, strict=False))
        if self._has_small_numbers or dict(plan.examples) != small:
            return False
        again = self._run(replace(plan, examples={name: number + 1 for name, number in small.items()}))
        return again.error is not None or self._finding(again) is not None

    def _blame(self) -> None:
        """Report what is wrong, when all is known that an edit must leave right."""
        has_layers = self._function is self._root
        for outcome, found in self._wrong:
            self.report.add(mended(outcome, found, self._attempt, self._contract, self._right, has_layers=has_layers))

    def _finding(self, outcome: Outcome) -> Finding | None:
        """The finding of a run, if there is one; runs that prove nothing leave a note."""
        if outcome.error is None:
            return declared_result(outcome, self._contract) or hidden_spread(outcome, self._contract.name)
        if refused(outcome):
            return None
        if (reason := could_not_run(outcome)) is not None:
            self._note(
                f"{self._contract.name} was checked only up to {outcome.place and outcome.place.where}: {reason}"
            )
            return None
        return finding_of(outcome, self._contract)

    def _alternatives(self, outcome: Outcome) -> Iterator[tuple[Plan, str]]:
        """Other plans for the same way through the code, each with what it takes for granted."""
        plan = outcome.plan
        yield from other_counts(outcome, self._contract)
        if outcome.tied is not None and outcome.tied[1] in self._own_numbers and not self._is_written(outcome.tied[1]):
            name, number = outcome.tied
            examples = {**plan.examples, name: number}
            yield replace(plan, examples=examples), f"{self._contract.name}: {name} is the module's own {number}"
        for place in has_own_dtype(outcome, self._contract):
            for dtype in _DTYPES:
                if dtype != plan.dtypes.get(place, torch.get_default_dtype()):
                    yield replace(plan, dtypes={**plan.dtypes, place: dtype}), ""
        if (divisible := _divisible(outcome)) is not None:
            numbers, condition = divisible
            yield replace(plan, examples=numbers), f"{self._contract.name}: {condition}"
        for primes, words in () if self._has_small_numbers else ((SMALL, "small"), (_VERY_LARGE, "large")):
            others: Mapping[str, int] = dict(zip(self._names, primes, strict=False))
            condition = f"{self._contract.name} is right for {words} sizes alone, such as " + ", ".join(
                f"{name} = {number}" for name, number in others.items()
            )
            yield replace(plan, examples=others), condition

    def _is_written(self, number: int) -> bool:
        """Whether an annotation says a number itself; then no name is meant to stand for it."""
        contract = self._contract
        stated = [spec for one in (*contract.parameters.values(), contract.returns) for spec in specs_in(one)]
        return any(place == number for spec in stated for place in spec.places or ())

    def _other_sides(self, outcome: Outcome) -> Iterator[Plan]:
        """Plans in which a condition that was met goes the way that nobody has gone yet."""
        questions = outcome.questions
        for question in questions:
            self._seen.add((question.where, question.answer))
        for at, question in enumerate(questions):
            key = (question.where, not question.answer)
            if key in self._seen:
                continue
            plan = outcome.plan
            if question.of_data:
                chosen = [q.answer for q in questions[:at] if q.of_data] + [not question.answer]
                self._seen.add(key)
                yield replace(plan, chosen=chosen)
            elif (examples := self._examples_for(questions[:at], question, outcome)) is not None:
                self._seen.add(key)
                yield replace(plan, examples=examples)

    def _examples_for(self, before: list[Question], flipped: Question, outcome: Outcome) -> Mapping[str, int] | None:
        """Numbers for which the conditions before are as they were and one is not."""
        world = outcome.asking
        symbols = {world.symbol(name): name for name in outcome.plan.examples}
        constants = {int(c) for q in (*before, flipped) for c in q.asked.atoms() if c.is_Integer and int(c) > 1}
        near = sorted({number + d for number in constants for d in (-1, 0, 1) if number + d > 1})
        asked = {symbols[s] for q in (*before, flipped) for s in q.asked.free_symbols if s in symbols}
        candidates = [*near, *SMALL, *LARGE, *_VERY_LARGE, *outcome.plan.examples.values()]

        def fits(examples: Mapping[str, int]) -> bool:
            numbers = {symbol: examples[name] for symbol, name in symbols.items()}
            answers = [(q.asked.subs(numbers), q.answer) for q in before if not q.of_data]
            return (
                all(bool(a) == answer for a, answer in answers) and bool(flipped.asked.subs(numbers)) != flipped.answer
            )

        for name in sorted(asked):
            for number in candidates:
                if fits(examples := {**outcome.plan.examples, name: number}):
                    return examples
        return None

    def _note(self, text: str) -> None:
        if text not in self.report.notes:
            self.report.notes.append(text)


def _names_of_result(contract: Contract) -> tuple[str, ...]:
    return tuple(name for spec in specs_in(contract.returns) for name in spec.names)


def _same_way(one: Outcome, other: Outcome) -> bool:
    """Whether a run answered the conditions that another one met as that did."""
    met = [(question.where, question.answer) for question in other.questions]
    return [(question.where, question.answer) for question in one.questions][: len(met)] == met


def _further(one: Outcome, other: Outcome) -> bool:
    """Whether a run came further than the other before it failed."""
    return other.error is not None and (one.error is None or len(one.history) > len(other.history))


def _divisible(outcome: Outcome) -> tuple[Mapping[str, int], str] | None:
    """Numbers that divide wherever the run divided a size, and what that takes for granted."""
    world = outcome.asking
    names = {world.symbol(name): name for name in outcome.plan.examples}
    numbers: dict[str, int] = {}
    by_name: dict[str, set[str]] = {}
    for whole, divisor in world.divisors:
        for symbol in whole.free_symbols:
            if (name := names.get(symbol)) is None:
                continue
            if divisor.is_Integer and int(divisor) > 1:
                numbers[name] = math.lcm(numbers.get(name, 1), int(divisor))
            for other in divisor.free_symbols:
                if other in names and names[other] != name:
                    by_name.setdefault(name, set()).add(names[other])
    if not numbers and not by_name:
        return None
    examples = dict(outcome.plan.examples)
    conditions = []
    if max(numbers.values(), default=1) > _MOST_DIVISOR:  # of some layer's size: it is that which does not fit
        return None
    for name, number in numbers.items():
        factor = number**2 if number < 64 else number  # halved again and again
        examples[name] *= factor
        conditions.append(f"{name} is a multiple of {number}")
    for name, others in by_name.items():
        for other in sorted(others):
            examples[name] *= examples[other]
            conditions.append(f"{name} is a multiple of {other}")
    if any(number > 2**40 for number in examples.values()):
        return None
    return examples, f"taken for granted that {' and '.join(conditions)}"
