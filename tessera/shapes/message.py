"""A ``Mismatch`` in words: what was declared, what came, why they do not fit, what to write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tessera.shapes.signature import Expected, FieldsOf, MappingOf, OptionalOf, SequenceOf, TupleOf
from tessera.shapes.size import Dim, evaluate, names
from tessera.shapes.spec import AnySize, OneOr, Several, TensorSpec, dtype_name, shape_text
from tessera.shapes.unify import Bindings, Mismatch


@dataclass(frozen=True)
class Words:
    """What to say: ``expected`` and ``received`` as types, ``why`` as a sentence, ``fixes`` as code."""

    expected: str
    received: str
    why: str
    fixes: tuple[str, ...] = ()


def describe(mismatch: Mismatch, text: Callable[[Any], str] = str) -> Words:
    """Put a mismatch into words.

    Args:
        mismatch: what does not fit.
        text: how a size is written; a number as it is.
    """
    spec, given, place = mismatch.spec, mismatch.given, mismatch.place
    bound = _stands_for(mismatch, text)
    expected = f"{expected_text(spec)}{f' where {bound}' if bound else ''}"
    if not isinstance(given, torch.Tensor) or not isinstance(spec, TensorSpec):
        received = "None" if given is None else f"{type(given).__name__} {_short(given)}"
        is_array = isinstance(spec, TensorSpec) and (
            hasattr(given, "__array__") or isinstance(given, (int, float, list))
        )
        fixes = (f"torch.as_tensor({_value(place)})",) if is_array else ()
        return Words(
            expected, received, f"{_the(place)} is declared {expected_text(spec)}; it is no such thing.", fixes
        )
    received = shape_text([*map(text, given.shape)])
    if mismatch.kind == "dtype":
        said = spec.kind or " or ".join(map(dtype_name, spec.dtypes))
        fixes = (f"{_value(place)}.to(torch.{dtype_name(spec.dtypes[0])})",)
        return Words(expected, _with(received, dtype_name(given.dtype)), f"{_the(place)} is declared {said}.", fixes)
    if mismatch.kind == "device":
        fixes = (f'{_value(place)}.to("{spec.device}")',)
        return Words(
            expected, _with(received, f'"{given.device}"'), f"{_the(place)} is declared to be on {spec.device}.", fixes
        )
    if mismatch.kind == "rank":
        return Words(expected, received, _why_rank(spec, given, place), _rank_fixes(spec, given, place))
    return _size_words(mismatch, spec, given, expected, received, text)


def _size_words(
    mismatch: Mismatch, spec: TensorSpec, given: torch.Tensor, expected: str, received: str, text: Callable[[Any], str]
) -> Words:
    axis, bound = mismatch.axis or 0, mismatch.bound
    place = (spec.aligned(given.dim()) or [])[axis]
    declared = place.size if isinstance(place, OneOr) else place
    wanted = None if isinstance(declared, (AnySize, Several)) else evaluate(declared, bound.sizes)
    known = f" = {text(wanted)}" if wanted is not None and text(wanted) != str(declared) else ""
    said = ""
    if isinstance(declared, Dim) and known and (by := bound.said_by.get(declared.name)) and by != mismatch.place:
        said = f" by {by!r}"
    why = f"Dimension {axis} of {_the(mismatch.place).lower()} is declared {declared}{known}{said}, and is "
    why += f"{text(given.shape[axis])}."
    return Words(expected, received, why, _size_fixes(mismatch, spec, given, axis, text))


def _size_fixes(
    mismatch: Mismatch, spec: TensorSpec, given: torch.Tensor, axis: int, text: Callable[[Any], str]
) -> tuple[str, ...]:
    fixes = []
    aligned = spec.aligned(given.dim()) or []
    value, bound = _value(mismatch.place), mismatch.bound.sizes
    for other in range(given.dim()):
        turned = list(given.shape)
        turned[axis], turned[other] = turned[other], turned[axis]
        if other != axis and _all_fit(aligned, turned, bound, text):
            fixes.append(f"{value}.transpose({min(axis, other)}, {max(axis, other)})")
    places = [str(place) if at != axis else text(given.shape[axis]) for at, place in enumerate(aligned)]
    fixes.append(f"declare it {shape_text(places)}")
    return tuple(fixes)


def _all_fit(aligned: list[Any], sizes: list[Any], bound: dict[str, Any], text: Callable[[Any], str]) -> bool:
    for place, size in zip(aligned, sizes, strict=True):
        declared = place.size if isinstance(place, OneOr) else place
        if isinstance(declared, (AnySize, Several)):
            continue
        wanted = evaluate(declared, bound)
        if wanted is not None and text(wanted) != text(size):
            return False
    return True


def _why_rank(spec: TensorSpec, given: torch.Tensor, place: str) -> str:
    number = len(spec.places or ())
    some = any(isinstance(p, Several) for p in spec.places or ())
    declared = f"{number - 1} or more" if some else str(number)
    return f"{_the(place)} has {given.dim()} dimensions, and is declared with {declared}."


def _rank_fixes(spec: TensorSpec, given: torch.Tensor, place: str) -> tuple[str, ...]:
    number = len(spec.places or ())
    value = _value(place)
    if given.dim() == number - 1:
        return (f"{value}.unsqueeze(0)",)
    if given.dim() == number + 1 and 1 in [size for size in given.shape if isinstance(size, int)]:
        return (f"{value}.squeeze({list(given.shape).index(1)})",)
    return ()


def _stands_for(mismatch: Mismatch, text: Callable[[Any], str]) -> str:
    """``B = 8, S = 128``, of the names that are declared for this tensor."""
    if not isinstance(mismatch.spec, TensorSpec):
        return ""
    known: Bindings = mismatch.bound
    stated = [
        (name, text(known.sizes[name]))
        for place in mismatch.spec.places or ()
        for name in names(place.size if isinstance(place, OneOr) else place)  # type: ignore[arg-type]  # or no size: none
        if name in known.sizes and (known.said_by.get(name) != mismatch.place)
    ]
    return ", ".join(dict.fromkeys(f"{name} = {size}" for name, size in stated if name != size))


def expected_text(expected: Expected | None) -> str:  # noqa: PLR0911 - one for each kind of annotation
    """An annotation as it is written."""
    match expected:
        case None:
            return "Any"
        case OptionalOf(inner):
            return f"{expected_text(inner)} | None"
        case SequenceOf(inner, made_by):
            return f"{made_by.__name__}[{expected_text(inner)}{', ...' if made_by is tuple else ''}]"
        case TupleOf(items):
            return f"tuple[{', '.join(map(expected_text, items))}]"
        case MappingOf(inner):
            return f"dict[str, {expected_text(inner)}]"
        case FieldsOf(made_by):
            return made_by.__name__
        case _:
            return str(expected)


def _with(shape: str, part: str) -> str:
    return f"{shape[:-1]}, {part}]"


def _the(place: str) -> str:
    return f"The {place}" if place.startswith("return value") else f"The argument {place!r}"


def _value(place: str) -> str:
    return place.replace("return value", "result")


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
