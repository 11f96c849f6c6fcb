"""What could have been declared instead: two dims of an annotation the other way round, another size, a dim more.

How regular the rest of the signature is tells how likely that is: where every other annotation begins with "B", one
that ends with it is likelier wrong than the code that it does not fit.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import linecache
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tessera.errors import SourceLine
from tessera.shapes.signature import (
    Contract,
    Expected,
    FieldsOf,
    MappingOf,
    OptionalOf,
    SequenceOf,
    TupleOf,
    specs_in,
)
from tessera.shapes.spec import AnySize, OneOr, Place, Several, TensorSpec
from tessera.users_code import source_line_at

# In edits of one number, as in ``rewrites``.
FIRST = 1.1  # begins as all others begin, as this one does not yet
AGREES = 1.25  # with the order of the others, as this one does not yet
ORDER, SIZE, RANK = 1.45, 1.4, 1.8
TOO_MANY = 1.55  # a dimension of a result that no edit of the code gives it
DISAGREES = 0.5  # more
OPEN = 1.6  # whatever comes of the code is right then


@dataclass(frozen=True)
class AnnotationEdit:
    """One annotation, written otherwise.

    Attributes:
        cost: in edits of one number.
        where: its line.
        text: what it is instead.
        contract: with it.
    """

    cost: float
    where: SourceLine
    text: str
    contract: Contract


_Put = Callable[[TensorSpec], Expected]


def annotation_edits(contract: Contract, sizes: Sequence[int]) -> Iterator[AnnotationEdit]:
    """Edits of what a function declares.

    Args:
        contract: of the function.
        sizes: numbers that may be what was meant.
    """
    if contract.where is None:
        return
    lines = _lines_of(contract.where.file, contract.where.line)
    others = [*contract.parameters.values(), *([contract.returns] if contract.returns is not None else [])]
    specs = [spec for expected in others for spec in specs_in(expected)]
    for name, expected in contract.parameters.items():
        where = source_line_at(contract.where.file, lines.get(name, contract.where.line))
        for spec, put, line in _specs(expected, lambda one: one, where):
            for cost, places in (*_orders(spec, specs), *_sizes(spec, specs, sizes), *_ranks(spec)):
                other = replace(spec, places=tuple(places))
                changed = {**contract.parameters, name: put(other)}
                yield AnnotationEdit(cost, line, f"{name}: {other}", replace(contract, parameters=changed))
    if contract.returns is not None:
        where = source_line_at(contract.where.file, lines.get("return", contract.where.line))
        for spec, put, line in _specs(contract.returns, lambda one: one, where):
            for cost, open_places in (*_orders(spec, specs), *_open(spec)):
                other = replace(spec, places=None if open_places is None else tuple(open_places))
                yield AnnotationEdit(cost, line, f"-> {other}", replace(contract, returns=put(other)))


def _specs(
    expected: Expected | None, put: Callable[[Any], Any], line: SourceLine
) -> Iterator[tuple[TensorSpec, Any, SourceLine]]:
    """Every tensor that is spoken of, with what puts another in its place, and its line."""
    match expected:
        case TensorSpec(places=places) if places is not None:
            yield expected, put, line
        case OptionalOf(inner) | MappingOf(inner):
            kind: Any = type(expected)
            yield from _specs(inner, lambda one: put(kind(one)), line)
        case SequenceOf(inner, made_by):
            yield from _specs(inner, lambda one: put(SequenceOf(one, made_by)), line)
        case TupleOf(items):
            for at, item in enumerate(items):
                yield from _specs(item, lambda one, at=at: put(TupleOf((*items[:at], one, *items[at + 1 :]))), line)  # type: ignore[misc]
        case FieldsOf(made_by, fields):
            of_fields = _lines_of_fields(made_by)
            for name, field in fields.items():
                yield from _specs(
                    field,
                    lambda one, name=name: put(FieldsOf(made_by, {**fields, name: one})),  # type: ignore[misc]
                    of_fields.get(name, line),
                )


def _orders(spec: TensorSpec, specs: Sequence[TensorSpec]) -> Iterator[tuple[float, list[Place]]]:
    places = list(spec.places or ())
    others = list(specs)
    others.remove(spec)
    before = _agreement(places, others)
    for one, other in itertools.combinations(range(len(places)), 2):
        swapped = list(places)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        if swapped != places:
            after = _agreement(swapped, others)
            first = {str(other.places[0]) for other in others if other.places and len(other.places) > 1}
            if len(others) > 1 and {str(swapped[0])} == first != {str(places[0])}:
                yield FIRST, swapped
            else:
                yield AGREES if after > before else ORDER + DISAGREES * (after < before), swapped


def _agreement(places: Sequence[Place], others: Sequence[TensorSpec]) -> int:
    """How many pairs of dims stand in the order in which others have them, less those that do not."""
    pairs: Counter[tuple[str, str]] = Counter()
    for other in others:
        texts = [str(place) for place in other.places or ()]
        pairs.update({(a, b): 1 for a, b in itertools.combinations(texts, 2) if a != b})
        if len(texts) > 1:
            pairs["", texts[0]] += 1  # it begins so
    texts = [str(place) for place in places]
    total = sum(pairs[a, b] - pairs[b, a] for a, b in itertools.combinations(texts, 2))
    return total + (pairs["", texts[0]] if texts else 0)


def _sizes(spec: TensorSpec, specs: Sequence[TensorSpec], sizes: Sequence[int]) -> Iterator[tuple[float, list[Place]]]:
    """Another size in one place: one that is declared elsewhere, or a number."""
    places = list(spec.places or ())
    declared = dict.fromkeys(
        place for one in specs for place in one.places or () if not isinstance(place, (AnySize, Several, OneOr))
    )
    for at, place in enumerate(places):
        if isinstance(place, (AnySize, Several, OneOr)):
            continue
        numbers: list[Any] = [size for size in sizes if isinstance(place, int)]
        for size in dict.fromkeys([*declared, *numbers]):
            if size != place:
                cost = SIZE + 0.3 * (isinstance(size, int) != isinstance(place, int)) + DISAGREES * (size in places)
                yield cost, [*places[:at], size, *places[at + 1 :]]


def _ranks(spec: TensorSpec) -> Iterator[tuple[float, list[Place]]]:
    places = list(spec.places or ())
    for at in range(len(places)):
        yield RANK + DISAGREES, [*places[:at], *places[at + 1 :]]  # what two tensors differ in goes away so
    for at in range(len(places) + 1):
        yield RANK, [*places[:at], 1, *places[at:]]


def _open(spec: TensorSpec) -> Iterator[tuple[float, list[Place] | None]]:
    """Of a result: anything in one place, a dimension less, or any shape."""
    places = list(spec.places or ())
    for at in range(len(places)):
        cost = SIZE if isinstance(places[at], int) else OPEN
        yield cost, [*places[:at], AnySize(), *places[at + 1 :]]
    for at in range(len(places)) if len(places) > 1 else ():
        yield TOO_MANY, [*places[:at], *places[at + 1 :]]
    yield OPEN + DISAGREES, None


@functools.lru_cache(maxsize=256)
def _lines_of(file: str, first: int) -> Mapping[str, int]:
    """The lines of the annotations of the function whose text begins in line ``first``."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if min([node.lineno, *(d.lineno for d in node.decorator_list)]) != first:
                continue
            a = node.args
            found = {one.arg: one.lineno for one in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if one}
            return found | ({"return": node.returns.lineno} if node.returns is not None else {})
    return {}


def _lines_of_fields(kind: type) -> Mapping[str, SourceLine]:
    try:
        file = inspect.getsourcefile(kind) or ""
        lines, first = inspect.getsourcelines(kind)
    except (OSError, TypeError):
        return {}
    found = {}
    for at, line in enumerate(lines):
        name, colon, _ = line.strip().partition(":")
        if colon and name.isidentifier():
            found[name] = source_line_at(file, first + at)
    return found
