"""One possible world: every declared size is a symbol with an example number, and every question about sizes is noted.

The examples are primes of which none is near another or a usual layer's size. So whatever holds for them holds for all
sizes but by a rare accident, and what is asked (``S == 512``?) gets the answer of sizes in general. A condition of the
user's own (``if S > 128``) is noted with its line, so that another world can be chosen where it goes the other way.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.budget import Budget
from tessera.check.recorded import Recording
from tessera.errors import SourceLine
from tessera.shapes.size import Size, evaluate
from tessera.users_code import is_library, source_line_at

LARGE = (97, 131, 173, 227, 293, 367, 449, 547, 653, 769, 887, 1013, 1151, 1297, 1451, 1613)
SMALL = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67)  # for loops over a size

_TORCH = str(Path(torch.__file__).parent)
_ASKING = (f"{_TORCH}/__init__.py", f"{_TORCH}/fx/experimental/", f"{_TORCH}/_refs/__init__.py")
_HISTORY = str(Path(__file__).with_name("history.py"))
UNDECLARED = "?"  # the name of sizes of a bare Tensor
_DIVIDES = ("FloorDiv", "CleanDiv", "Mod", "PythonMod")
_BARE = torch.device("meta")
_NEAR = 8  # how far from a size a number is taken to be made of it
_SAME_QUESTION = 3  # times that a condition on data may be true before it is false: `while x.sum() > 0`


class LoopsOverSize(BaseException):  # no Exception: the user's code must not catch it
    """A size became a plain number, as in ``range(S)``: numbers for it should be small."""


class TakesTooLong(BaseException):
    """A run has done too much before it is over; for the user's code as ``LoopsOverSize``.

    Attributes:
        world: of the run, with what was asked until then.
    """

    world: World | None = None


@dataclass(frozen=True)
class Question:
    """A condition in the user's own code that depends on a size or on data.

    Attributes:
        asked: the condition, an expression of sympy.
        answer: what it was in this world.
        where: the user's line.
        of_data: whether only data could tell; the answer was chosen.
    """

    asked: Any
    answer: bool
    where: SourceLine
    of_data: bool


@dataclass
class World:
    """Symbols, their examples, and what was asked about them.

    Attributes:
        examples: the number of each name.
        in_numbers: whether sizes are the examples themselves, for operators that know no symbols. Conditions on sizes
            are not seen then, and names are guessed from the numbers.
        bare: whether tensors are torch's own without memory, where sizes are numbers: several times as quick, but what
            asks for data raises.
        work: what the operations of a run are spent from; ``TakesTooLong`` is raised when nothing is left.
        may_be_long: whether examples are small enough for loops over them; else ``LoopsOverSize`` is raised.
        records: whether what is computed is kept, see ``Recording``.
        chosen: answers to conditions on data, in the order in which they come; True once they are used up.
        items: how many there are in a list whose length nothing declares.
        named: keywords of ``**named``, of which nothing declares any.
        questions: conditions of the user's code, in order.
    """

    examples: Mapping[str, int]
    chosen: Sequence[bool] = ()
    in_numbers: bool = False
    may_be_long: bool = True
    work: Budget = field(default_factory=Budget)
    records: bool = False
    bare: bool = False
    items: int = 3
    named: tuple[str, ...] = ("first", "second")
    questions: list[Question] = field(default_factory=list)
    divisors: list[tuple[Any, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recording = Recording(self.records)
        self.mode: Any = _BARE
        if not self.bare:
            self.mode = torch_internals.symbolic_mode(self._answer, self.work.spend, self.recording.note)
        self.symbols: dict[str, Any] = {}
        self._expressions: dict[str, Any] = {}
        self._names: dict[Any, str] = {}
        for name, number in self.examples.items():
            self._add(name, number, name)
        self._became_number = False  # whether torch writes a number where a symbol was
        self._used = set(self.examples.values())
        self._from_elsewhere: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._known: dict[Any, bool] = {}
        self._times: dict[SourceLine, int] = {}
        self.asking_itself = False
        self.takes_numbers = False  # while an operator without a loop takes plain numbers for sizes
        self.torch_is_told: bool | None = None  # when torch's own Python asks for data
        self.reading_data = False  # while History passes on bool(tensor), item() and the like

    def _add(self, key: str, number: int, name: str) -> None:
        symbol = number if self.in_numbers else torch_internals.symbolic_size(self.mode, key, number)
        self.symbols[key] = symbol
        # Kept as it is now: once torch knows a symbol to be a number it shows the number instead.
        self._expressions[key] = torch_internals.expression_of(symbol)
        self._names[self._expressions[key]] = name

    def size(self, size: Size) -> Any:
        """A declared size as torch takes it: a number or a symbol."""
        return evaluate(size, self.symbols)

    def free(self, name: str, number: int) -> Any:
        """A size that the annotation gives no name of its own: behind ``...`` or ``_``."""
        key = f"{name}{number}"
        if key not in self.symbols:
            example = next(prime for prime in reversed(LARGE) if prime not in self._used)
            self._used.add(example)
            self._add(key, example, name)
        return self.symbols[key]

    def text(self, size: Any) -> str:
        """A size in declared names: ``2*H``, ``B*S``, ``512``; ``?`` in place of what depends on data."""
        expression = torch_internals.expression_of(size)
        return self.expression_text(expression)

    def expression_text(self, expression: Any) -> str:
        """The same of an expression of sympy."""
        symbols = getattr(expression, "free_symbols", ())
        if not symbols:
            if self.in_numbers:
                return name_of(int(expression), self._names)
            named = {number: name for name, number in self.examples.items()} if self._became_number else {}
            return named.get(int(expression), str(expression))
        kind = type(next(iter(symbols)))
        return str(expression.xreplace({s: kind(self._names.get(s, "?")) for s in symbols})).replace(" ", "")

    def without_data(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor of this world that stands for one that holds data; always the same for the same."""
        mode = getattr(tensor, "fake_mode", None)
        if (tensor.is_meta if self.bare else mode is self.mode) or torch.nn.parameter.is_lazy(tensor):
            return tensor
        if mode is None and not tensor.is_meta and not self.bare:
            like = torch_internals.fake_copy(self.mode, tensor)
        else:  # of a module that was made without memory
            if id(tensor) not in self._from_elsewhere:
                fake_mode = None if self.bare else self.mode
                other = torch_internals.without_memory(fake_mode, tensor.shape, tensor.stride(), tensor.dtype)
                self._from_elsewhere[id(tensor)] = tensor, other.requires_grad_(tensor.requires_grad)
            like = self._from_elsewhere[id(tensor)][1]
        self.recording.state[id(like)] = (like, tensor)
        return like

    def becomes_number(self) -> None:
        """Note that a loop may run over a size.

        Raises:
            LoopsOverSize: the examples are too large for that.
        """
        if not self.may_be_long:
            raise LoopsOverSize
        self._became_number = True

    def symbol(self, name: str) -> Any:
        """The symbol of sympy that a declared name stands for."""
        return self._expressions[name]

    @property
    def has_free_sizes(self) -> bool:
        """Whether there is an argument of whose shape nothing was declared."""
        return UNDECLARED in self._names.values()

    def is_free(self, size: Any) -> bool:
        """Whether a size is made of one that belongs to an argument of whose shape nothing was declared."""
        return size is not None and UNDECLARED in self.text(size)

    def message_text(self, message: str) -> str:
        """A message of torch's with declared names in place of its own."""
        for symbol, name in self._names.items() if not self.in_numbers else ():
            message = re.sub(rf"\b{symbol}\b", name, message)
        return message

    def texts(self, sizes: Sequence[Any]) -> list[str]:
        return [self.text(size) for size in sizes]

    def number(self, size: Any) -> int | None:
        """The example of a size; None of one that depends on data."""
        if not isinstance(size, torch.SymInt):
            return int(size)
        hint = torch_internals.size_hint(size)
        return int(hint) if isinstance(hint, int) else None

    def same(self, one: Any, other: Any) -> bool:
        """Whether two sizes are the same for all numbers; those that depend on data are taken to be."""
        a, b = self.number(one), self.number(other)
        return a is None or b is None or a == b

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Questions asked within are Tessera's own."""
        before, self.asking_itself = self.asking_itself, True
        try:
            yield
        finally:
            self.asking_itself = before

    def _answer(self, asked: Any, hint: Any, usual: Any) -> Any:
        if not getattr(asked, "free_symbols", None) or self.asking_itself:
            return usual()
        self._note_divisors(asked)
        by_user = self._asked_by(sys._getframe(1))  # noqa: SLF001 - the documented way
        of_data = any(symbol not in self._names for symbol in asked.free_symbols)
        if of_data and _is_condition(asked):
            return self._answer_by_choice(asked, by_user, usual)
        if not of_data and not _is_condition(asked):
            if by_user is None and self.takes_numbers:
                self._became_number = True
            else:
                self.becomes_number()
        if by_user is None or of_data:
            return usual()
        answer = usual()
        if _is_condition(asked):
            self.questions.append(Question(asked, bool(answer), by_user, of_data=False))
        return answer

    def _answer_by_choice(self, asked: Any, by_user: SourceLine | None, usual: Any) -> Any:
        if by_user is None:
            return usual() if self.torch_is_told is None else self.torch_is_told
        if asked in self._known:
            return self._known[asked]
        number = sum(question.of_data for question in self.questions)
        self._times[by_user] = self._times.get(by_user, 0) + 1
        answer = self.chosen[number] if number < len(self.chosen) else self._times[by_user] <= _SAME_QUESTION
        self._known[asked] = answer
        self.questions.append(Question(asked, answer, by_user, of_data=True))
        return answer

    def _asked_by(self, frame: FrameType | None) -> SourceLine | None:
        """The line, where the user's own code asks: ``if S > 128``, ``range(S)``; None where an operator does."""
        between = (__file__, torch_internals.__file__, functools.__file__, *([_HISTORY] if self.reading_data else []))
        while frame is not None:
            file = frame.f_code.co_filename
            if not is_library(file):
                return source_line_at(file, frame.f_lineno)
            if not file.startswith(_ASKING) and file not in between:
                return None
            frame = frame.f_back
        return None

    def _note_divisors(self, asked: Any) -> None:
        for part in _parts(asked):
            if type(part).__name__ in _DIVIDES and len(part.args) >= 2 and (pair := part.args[:2]) not in self.divisors:
                self.divisors.append(pair)


def _parts(expression: Any) -> Iterator[Any]:
    yield expression
    for argument in expression.args:
        yield from _parts(argument)


def name_of(number: int, names: Mapping[Any, str]) -> str:
    """What a number stands for, guessed: ``S``, ``2*S``, ``S + 1``, ``B*S``; the number itself where nothing fits."""
    if number in names:
        return names[number]
    for size, name in names.items():
        if number > 1 and number % size == 0 and (times := number // size) in names:
            return f"{name}*{names[times]}"
        if number % size == 0 and 1 < number // size <= _NEAR:
            return f"{number // size}*{name}"
        if size > 2 * _NEAR and 0 < abs(number - size) <= _NEAR:
            return f"{name} {'+' if number > size else '-'} {abs(number - size)}"
    return str(number)


def _is_condition(expression: Any) -> bool:
    return any(kind.__name__ in ("Relational", "BooleanFunction") for kind in type(expression).__mro__)  # sympy's
