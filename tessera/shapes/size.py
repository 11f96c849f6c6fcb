"""A size: a number, a name, or arithmetic of both.

``"B"``, ``512``, ``"2*H"`` and ``"B*S + 1"`` are sizes; so are ``B``, ``2 * H`` and ``B * S + 1`` after
``B, S, H = tessera.dims("B S H")``. The text is read by Python's own parser and nothing of it is ever evaluated.
"""

from __future__ import annotations

import ast
import keyword
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tessera.errors import AnnotationError

_SIGNS: dict[str, tuple[Callable[[Any, Any], Any], int]] = {  # how to compute, how tightly it binds
    "+": (operator.add, 1),
    "-": (operator.sub, 1),
    "*": (operator.mul, 2),
    "//": (operator.floordiv, 2),
    "%": (operator.mod, 2),
}
_READ = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Div: "//", ast.Mod: "%"}


class Arithmetic:
    """What can be computed with: ``2 * H``, ``S + 1``, ``D // H``."""

    def __add__(self, other: Size) -> Operation:
        return Operation("+", self, other)

    def __radd__(self, other: Size) -> Operation:
        return Operation("+", other, self)

    def __sub__(self, other: Size) -> Operation:
        return Operation("-", self, other)

    def __rsub__(self, other: Size) -> Operation:
        return Operation("-", other, self)

    def __mul__(self, other: Size) -> Operation:
        return Operation("*", self, other)

    def __rmul__(self, other: Size) -> Operation:
        return Operation("*", other, self)

    def __floordiv__(self, other: Size) -> Operation:
        return Operation("//", self, other)

    def __mod__(self, other: Size) -> Operation:
        return Operation("%", self, other)


@dataclass(frozen=True)
class Dim(Arithmetic):
    """A size that has a name and may be any number."""

    name: str

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Operation(Arithmetic):
    """Two sizes and the sign between them."""

    sign: str
    left: Size
    right: Size

    def __str__(self) -> str:
        tightness = _SIGNS[self.sign][1]
        left = _bracketed(self.left, tightness)
        right = _bracketed(self.right, tightness + (self.sign != "+"))
        return f"{left}{self.sign}{right}" if tightness > 1 else f"{left} {self.sign} {right}"

    def __repr__(self) -> str:
        return str(self)


Size = int | Arithmetic  # a Dim or an Operation


def _bracketed(size: Size, tightness: int) -> str:
    if isinstance(size, Operation) and _SIGNS[size.sign][1] < tightness:
        return f"({size})"
    return str(size)


def names(size: Size) -> tuple[str, ...]:
    """The names in a size, in the order in which they are written."""
    if isinstance(size, Dim):
        return (size.name,)
    if isinstance(size, Operation):
        return (*names(size.left), *names(size.right))
    return ()


def evaluate(size: Size, bound: Mapping[str, Any]) -> Any:
    """The number that a size stands for, or None where a name in it is not ``bound`` (or a divisor is 0)."""
    if isinstance(size, Dim):
        return bound.get(size.name)
    if not isinstance(size, Operation):
        return size
    left, right = evaluate(size.left, bound), evaluate(size.right, bound)
    if left is None or right is None or (size.sign in ("//", "%") and isinstance(right, int) and right == 0):
        return None
    return _SIGNS[size.sign][0](left, right)


def read_size(text: str) -> Size:
    """Read ``"B"``, ``"2*H"`` or ``"(S + 1)*B"``.

    Raises:
        AnnotationError: it is anything else.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise unreadable(text) from None
    return _size(tree, text)


def _size(tree: ast.expr, text: str, *, part: bool = False) -> Size:
    """A size; as ``part`` of another one it may have a minus before it: ``-S % 16`` is what ``S`` lacks."""
    match tree:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id=name):
            return Dim(name)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _READ:
            return Operation(_READ[type(op)], _size(left, text, part=True), _size(right, text, part=True))
        case ast.UnaryOp(op=ast.USub(), operand=operand) if part:
            return Operation("-", 0, _size(operand, text, part=True))
    raise unreadable(text)


def unreadable(text: str) -> AnnotationError:
    """What to say of a text that is no size, with the nearest one that is."""
    words = [word.strip(",") for word in text.split()]
    names = [word for word in words if word.isidentifier() and not keyword.iskeyword(word)]
    if len(words) > 1 and len(names) == len(words):
        fix = f"Write each size by itself: Tensor[{', '.join(repr(name).replace(chr(39), chr(34)) for name in names)}]."
    elif times := re.fullmatch(r"(\d+)\s*([A-Za-z_]\w*)", text.strip()):
        fix = f'Write for example Tensor["{times[1]}*{times[2]}"].'
    elif cleaned := "".join(c if c.isalnum() or c == "_" else "_" for c in text.strip()).strip("_"):
        name = cleaned if cleaned.isidentifier() else f"n{cleaned}"
        fix = f'Write for example Tensor["{name}"].'
    else:
        fix = 'Write for example Tensor["B", 512].'
    return AnnotationError(
        f"{text!r} was written as a size of a tensor.",
        'A size is a number, a name, or arithmetic of both with + - * // and %, such as "B", 512 or "2*H + 1".',
        fix,
    )


def dims(text: str) -> Any:
    """Names of sizes, to be written without quotes: ``B, S = tessera.dims("B S")``, then ``Tensor[B, S, 2 * S]``.

    Args:
        text: names, with spaces or commas between them.

    Returns:
        A tuple of ``Dim``; for a single name the ``Dim`` itself.

    Raises:
        AnnotationError: there is no name in ``text``, or something that is no name.
    """
    found = text.replace(",", " ").split()
    wrong = [word for word in found if not word.isidentifier() or keyword.iskeyword(word)]
    if wrong or not found:
        raise AnnotationError(
            f"dims({text!r}) was called.",
            "It takes names, with spaces between them.",
            'Write for example B, S, D = tessera.dims("B S D").',
        )
    made = tuple(Dim(word) for word in found)
    return made if len(made) > 1 else made[0]
