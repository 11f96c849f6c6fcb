"""One run of a function in one world: what came of it, and where it was when it raised."""

from __future__ import annotations

import contextlib
import io
import linecache
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, TracebackType
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.arguments import make_arguments
from tessera.check.budget import Budget
from tessera.check.call import Call
from tessera.check.history import History, Site
from tessera.check.rewrites import Rewrite
from tessera.check.world import Question, TakesTooLong, World
from tessera.errors import SourceLine
from tessera.shapes.signature import Contract
from tessera.users_code import is_library


@dataclass(frozen=True)
class Plan:
    """What to run with.

    Attributes:
        examples: the number of each declared name.
        chosen: answers to conditions on data.
        choice: of arguments that decide, see ``arguments.variants``.
        dtypes: of tensors whose annotation says none.
        in_numbers: sizes are the examples themselves, see ``World``.
        bare: tensors are torch's own without memory, see ``World``.
        items, named: what there is of lists and keywords, see ``World``.
    """

    examples: Mapping[str, int]
    choice: Mapping[str, Any]
    chosen: Sequence[bool] = ()
    dtypes: Mapping[str, torch.dtype] = field(default_factory=dict)
    in_numbers: bool = False
    bare: bool = False
    items: int = 3
    named: tuple[str, ...] = ("first", "second")


@dataclass
class Place:
    """Where an exception came from.

    Attributes:
        where: the innermost line of the user's.
        columns: of the expression in that line, from 0 at its first character.
        by_user: whether the user's own code raised it, and not torch or Python's library below it.
        function: the name of the function of that line.
        layer: the path of the module that was running.
    """

    where: SourceLine
    columns: tuple[int, int] | None
    by_user: bool
    function: str
    layer: str


@dataclass
class Outcome:
    """What came of one run: a result or an exception, with all that was noted on the way."""

    plan: Plan
    world: World
    history: History
    arguments: Mapping[str, Any]
    result: Any = None
    error: Exception | None = None
    place: Place | None = None
    root: torch.nn.Module | None = None
    tied: tuple[str, int] | None = None  # a name of an argument's size, and the number that was expected there
    in_symbols: World | None = None  # of a run in numbers: what there was of the one in symbols until it took too long

    @property
    def asking(self) -> World:
        """The world that knows what was asked of sizes."""
        return self.in_symbols or self.world

    @property
    def questions(self) -> list[Question]:
        """The conditions that were met, in order; of sizes those that a run in symbols came to."""
        known = self.asking.questions
        return [*known, *_of_data(self.world.questions)[len(_of_data(known)) :]]

    @property
    def failing(self) -> Call | None:
        """The call of torch that raised."""
        return self.history.failing if self.error is not None else None


def run(
    function: Callable[..., Any],
    contract: Contract,
    plan: Plan,
    root: torch.nn.Module | None,
    *,
    may_be_long: bool = True,
    work: Budget | None = None,
    rewrite: tuple[Site, Rewrite] | None = None,
    records: bool = False,
) -> Outcome:
    """Call ``function`` on tensors without data and note what happens.

    Attributes of modules, Python's random numbers, gradients' mode and default dtype are put back afterwards, and what
    it prints is not shown.

    Args:
        function: what is called.
        contract: of it.
        plan: what to run with.
        root: the module that it belongs to.
        may_be_long: whether a loop may run over a size.
        work: what its operations are spent from.
        rewrite: a place in the user's code, and how the call of torch that is made there is changed.
        records: whether what is computed is kept.

    Raises:
        CannotMake: an argument cannot be made.
        LoopsOverSize: a loop runs over a size, and ``may_be_long`` is False.
        TakesTooLong: nothing is left of ``work`` before it is over.
    """
    world = World(plan.examples, plan.chosen, plan.in_numbers, may_be_long, work or Budget(), records, plan.bare)
    world.items, world.named = plan.items, plan.named
    history = History(world, rewrite)
    with put_back(root), world.mode:
        torch.set_grad_enabled(torch.is_grad_enabled() and not plan.bare)  # there are no gradients of nothing
        args, kwargs = make_arguments(contract, world, plan.choice, plan.dtypes)
        bound = contract.signature.bind(*args, **kwargs).arguments
        outcome = Outcome(plan, world, history, bound, root=root)
        try:
            with history:
                outcome.result = function(*args, **kwargs)
        except TakesTooLong as too_long:
            too_long.world = world
            raise
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            outcome.error, outcome.place = error, place_of(error, root)
    return outcome


def _of_data(questions: Sequence[Question]) -> list[Question]:
    return [question for question in questions if question.of_data]


@contextlib.contextmanager
def put_back(root: torch.nn.Module | None) -> Iterator[None]:
    """Within, the user's code may run: what it changes is put back, and what it prints is not shown."""
    modules = list(root.modules()) if root is not None else []
    kept = [(module, {k: _copied(v) for k, v in vars(module).items()}) for module in modules]
    state, grad, dtype = random.getstate(), torch.is_grad_enabled(), torch.get_default_dtype()
    try:
        silence = contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings()
        with silence[0], silence[1], torch_internals.quiet_fake_tensors():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(state)
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        for module, attributes in kept:
            vars(module).clear()
            vars(module).update(attributes)


def _copied(value: Any) -> Any:
    return value.copy() if type(value) in (dict, list, set) else value


def place_of(error: BaseException, root: torch.nn.Module | None) -> Place | None:
    """Where an exception came from; None where no code of the user's was running."""
    names = {id(module): name for name, module in root.named_modules()} if root is not None else {}
    layer, found, by_user = "", None, False
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        module = frame.f_locals.get("self")
        if isinstance(module, torch.nn.Module):
            layer = names.get(id(module), layer)
        if not is_library(frame.f_code.co_filename):
            found, by_user = (trace, frame.f_code), trace.tb_next is None
        trace = trace.tb_next
    if found is None:
        return None
    at, code = found
    text = linecache.getline(code.co_filename, at.tb_lineno)
    where = SourceLine(code.co_filename, at.tb_lineno, text.strip())
    return Place(where, _columns(code, at, text), by_user, code.co_qualname, layer)


def _columns(code: CodeType, trace: TracebackType, text: str) -> tuple[int, int] | None:
    positions = list(code.co_positions())
    at = trace.tb_lasti // 2
    if at >= len(positions):
        return None
    first, last, start, end = positions[at]
    if first is None or first != last or start is None or end is None:
        return None
    indent = len(text) - len(text.lstrip())
    return start - indent, end - indent
