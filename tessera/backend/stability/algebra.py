"""A small algebra of what a captured graph computes, in which spellings of one thing are one value.

    linear    constant + sum of coefficient * value           x - 1, 1 + exp(x), 0.5 * (a + b), -x
    product   product of value ** number                      a / b, x * x, sqrt(x), 1 / (1 + y)
    others    an operation of values                          exp(x), sum(x, dims), softmax(x, dims)

Equal values are one object. What cancels on the way (``(t - s) - y`` with ``t = s + y``) is remembered: on paper it is
zero, so whoever writes it means the rounding error, and that is nothing to simplify.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import fx

from tessera.backend.stability.facts import is_nonnegative

LONGEST = 12  # terms or factors of one value; a longer one is no formula of the kind that rules are about


class Value:
    """What some node computes: an operation and its arguments, which are values, numbers, or tuples of them.

    Attributes:
        node: a node of the graph that holds it now, or None.
        shape: of its tensor, if that is known.
    """

    __slots__ = ("args", "facts", "node", "op", "serial", "shape")

    def __init__(self, op: str, args: tuple[Any, ...], serial: int) -> None:
        self.op, self.args, self.serial = op, args, serial
        self.node: fx.Node | None = None
        self.shape: Sequence[Any] | None = None
        self.facts: dict[str, bool] = {}

    def __repr__(self) -> str:
        return f"{self.op}{self.args}" if self.op != "leaf" else f"%{self.args[0]}"

    @property
    def number(self) -> float | None:
        """What it is if it is a constant."""
        return self.args[0] if self.op == "number" else None

    def parts(self) -> list[Value]:
        """The values that it is made of."""
        if self.op == "linear":
            return [term for term, _ in self.args[1]]
        if self.op == "product":
            return [base for base, _ in self.args[0]]
        return [arg for arg in self.args if isinstance(arg, Value)]


Terms = dict[Value, float]


class Algebra:
    """Makes values."""

    def __init__(self) -> None:
        self._known: dict[Any, Value] = {}
        self.cancelled: list[Value] | None = None  # where a caller collects what disappeared

    def make(self, op: str, *args: Any) -> Value:
        key = (op, args)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Value(op, args, len(self._known))
        return found

    def number(self, value: float) -> Value:
        return self.make("number", float(value))

    def leaf(self, node: fx.Node, version: int = 0) -> Value:
        return self.make("leaf", node, version)

    # -- sums --------------------------------------------------------------------------------------------------

    def terms(self, value: Value) -> tuple[float, Terms]:
        """``value`` as a constant and terms with their coefficients."""
        if value.op == "number":
            return value.args[0], {}
        if value.op == "linear":
            return value.args[0], dict(value.args[1])
        return 0.0, {value: 1.0}

    def linear(self, constant: float, terms: Terms) -> Value:
        kept = {term: c for term, c in terms.items() if c != 0}
        if not kept:
            return self.number(constant)
        if constant == 0 and len(kept) == 1:
            ((term, coefficient),) = kept.items()
            if coefficient == 1:
                return term
        return self.make("linear", float(constant), tuple(sorted(kept.items(), key=lambda item: item[0].serial)))

    def add(self, *parts: tuple[float, Value]) -> Value:
        """The sum of coefficient * value."""
        constant, total = 0.0, Terms()
        constants: list[float] = []
        for factor, value in parts:
            own, terms = self.terms(value)
            if own:
                constants.append(factor * own)
                constant += factor * own
            for term, coefficient in terms.items():
                before = total.get(term, 0.0)
                total[term] = before + factor * coefficient
                if before and not total[term]:
                    self.note(value for _, value in parts)
        if len(constants) > 1 and constant == 0 and not _is_meant([v for _, v in parts]):
            self.note(value for _, value in parts)
        if len(total) > LONGEST:
            return self.make("long", *((f, v) for f, v in parts))
        return self.linear(constant, total)

    def scale(self, value: Value, factor: float) -> Value:
        return self.add((factor, value))

    def negative(self, value: Value) -> Value:
        return self.add((-1.0, value))

    def minus(self, a: Value, b: Value) -> Value:
        return self.add((1.0, a), (-1.0, b))

    # -- products ----------------------------------------------------------------------------------------------

    def factors(self, value: Value) -> tuple[float, dict[Value, float]]:
        """``value`` as a number and factors with their exponents."""
        if value.op == "number":
            return value.args[0], {}
        if value.op == "linear" and value.args[0] == 0 and len(value.args[1]) == 1:
            ((term, coefficient),) = value.args[1]
            return coefficient, self.factors(term)[1]
        if value.op == "product":
            return 1.0, dict(value.args[0])
        return 1.0, {value: 1.0}

    def product(self, number: float, factors: dict[Value, float]) -> Value:
        kept = {base: e for base, e in factors.items() if e != 0}
        if len(kept) == 1 and next(iter(kept.values())) == 1:
            return self.scale(next(iter(kept)), number)
        if not kept:
            return self.number(number)
        found = self.make("product", tuple(sorted(kept.items(), key=lambda item: item[0].serial)))
        return found if number == 1 else self.linear(0.0, {found: number})

    def multiply(self, *parts: tuple[Value, float]) -> Value:
        """The product of value ** exponent."""
        number, total = 1.0, dict[Value, float]()
        for value, exponent in parts:
            if value.number == 0 and exponent < 0:
                return self.make("long", *parts)
            own, factors = self._raised(value, exponent)
            number *= own
            for base, power in factors.items():
                before = total.get(base, 0.0)
                total[base] = before + power
                if before and not total[base]:
                    self.note(value for value, _ in parts)
        total = self._with_one_exponential(total)
        if len(total) > LONGEST:
            return self.make("long", *parts)
        return self.product(number, total)

    def _raised(self, value: Value, exponent: float) -> tuple[float, dict[Value, float]]:
        """``value ** exponent`` as a number and factors; a root only of factors that are not negative."""
        number, factors = self.factors(value)
        if float(exponent).is_integer():
            return number**exponent, {base: power * exponent for base, power in factors.items()}
        if number < 0:
            return 1.0, {value: exponent}
        found, rest = dict[Value, float](), dict[Value, float]()
        for base, power in factors.items():
            if is_nonnegative(base):
                found[base] = power * exponent
            elif power % 2 == 0:
                found[self.make("abs", base)] = power * exponent
            else:
                rest[base] = power
        if rest:
            found[self.product(1.0, rest)] = exponent
        return number**exponent, found

    def times(self, *values: Value) -> Value:
        return self.multiply(*((value, 1.0) for value in values))

    def divide(self, a: Value, b: Value) -> Value:
        return self.multiply((a, 1.0), (b, -1.0))

    def power(self, value: Value, exponent: float) -> Value:
        return self.multiply((value, exponent))

    def _with_one_exponential(self, factors: dict[Value, float]) -> dict[Value, float]:
        """``exp(a) ** m * exp(b) ** n`` is ``exp(m a + n b)``."""
        exponentials = {base: e for base, e in factors.items() if base.op == "exp"}
        if not exponentials or (len(exponentials) == 1 and set(exponentials.values()) == {1.0}):
            return factors
        rest = {base: e for base, e in factors.items() if base.op != "exp"}
        exponent = self.add(*((e, base.args[0]) for base, e in exponentials.items()))
        return rest if exponent.number == 0 else {**rest, self.make("exp", exponent): 1.0}

    def note(self, values: Iterable[Value]) -> None:
        """``values`` cancel."""
        if self.cancelled is not None:
            self.cancelled += values


def _is_meant(parts: list[Value]) -> bool:
    """Whether it is a distribution's difference, or what is left of ``1 - (1 - p)``, and no rounding error."""
    return all(map(_is_complement, parts)) or any(map(_is_rest, parts))


def _is_rest(value: Value) -> bool:
    """Whether it is ``c (1 - p)`` of something that is computed to be between 0 and 1, as an opacity is."""
    if value.op != "linear" or len(value.args[1]) != 1:
        return False
    ((term, coefficient),) = value.args[1]
    return term.op in ("exp", "sigmoid") and coefficient == -value.args[0]


def _is_complement(value: Value) -> bool:
    """Whether it is ``c (1 + f(x))`` or ``c (1 - f(x))``, a distribution and no number that something is rounded at."""
    if value.op != "linear" or len(value.args[1]) != 1:
        return False
    ((term, coefficient),) = value.args[1]
    return term.op in ("erf", "tanh", "cos") and abs(coefficient) == abs(value.args[0])


def scaled(value: Value) -> tuple[float, Value]:
    """``value`` as a number times another."""
    if value.op == "linear" and value.args[0] == 0 and len(value.args[1]) == 1:
        ((term, factor),) = value.args[1]
        return factor, term
    return 1.0, value
