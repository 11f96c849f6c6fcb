"""The contract of a function: what its annotations say of the tensors that go in and come out."""

from __future__ import annotations

import builtins
import collections.abc
import dataclasses
import difflib
import inspect
import types
import typing
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import torch

from tessera.errors import AnnotationError, SourceLine
from tessera.shapes.annotation import spec_of
from tessera.shapes.size import Dim
from tessera.shapes.spec import TensorSpec


@dataclass(frozen=True)
class OptionalOf:
    """``Tensor["B"] | None``."""

    inner: Expected


@dataclass(frozen=True)
class SequenceOf:
    """``list[Tensor["B"]]`` and ``tuple[Tensor["B"], ...]``."""

    inner: Expected
    made_by: type


@dataclass(frozen=True)
class TupleOf:
    """``tuple[Tensor["B"], int]``."""

    items: tuple[Expected | None, ...]


@dataclass(frozen=True)
class MappingOf:
    """``dict[str, Tensor["B"]]``."""

    inner: Expected


@dataclass(frozen=True)
class FieldsOf:
    """A dataclass, NamedTuple or TypedDict with tensors in its fields."""

    made_by: type
    fields: Mapping[str, Expected]


Expected = TensorSpec | OptionalOf | SequenceOf | TupleOf | MappingOf | FieldsOf


@dataclass(frozen=True)
class Contract:
    """What the annotations of one function say.

    Attributes:
        name: of the function, qualified.
        signature: of the function.
        parameters: what is expected of those that hold tensors; of ``*xs`` that is a tuple, of ``**named`` a mapping.
        returns: what is expected of the result, if anything.
        where: the line of its ``def``.
        hints: its annotations as objects.
    """

    name: str
    signature: inspect.Signature
    parameters: Mapping[str, Expected]
    returns: Expected | None
    where: SourceLine | None
    hints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def says_something(self) -> bool:
        """Whether there is anything to check beyond that tensors are tensors."""
        stated = [*self.parameters.values(), *([self.returns] if self.returns is not None else [])]
        return any(spec != TensorSpec(None) for expected in stated for spec in specs_in(expected))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of sizes that parameters declare, in order."""
        found: dict[str, None] = {}
        for expected in self.parameters.values():
            for spec in specs_in(expected):
                found |= dict.fromkeys(spec.names)
        return tuple(found)


def specs_in(expected: Expected | None) -> Iterator[TensorSpec]:
    """Every tensor that an annotation speaks of."""
    match expected:
        case TensorSpec():
            yield expected
        case OptionalOf(inner) | SequenceOf(inner) | MappingOf(inner):
            yield from specs_in(inner)
        case TupleOf(items):
            for item in items:
                yield from specs_in(item)
        case FieldsOf(fields=fields):
            for field in fields.values():
                yield from specs_in(field)


def read_contract(function: Callable[..., Any], local_names: Mapping[str, Any] | None = None) -> Contract:
    """Read the annotations of a function or of a method.

    Args:
        function: its code is not run.
        local_names: what annotations that are kept as text may name besides globals, as ``B, S = dims("B S")`` in the
            function around it.

    Raises:
        AnnotationError: an annotation of a tensor cannot be read; it names the line of the ``def``.
    """
    plain = inspect.unwrap(function)
    where = _line_of(plain)
    signature = inspect.signature(function)
    try:
        hints = _hints(plain, {**_closure_names(plain), **(local_names or {})})
    except AnnotationError as error:
        raise AnnotationError(error.received, error.expected, error.fix, where) from None
    parameters = {
        name: _of_each(parameter, expected)
        for name, parameter in signature.parameters.items()
        if name in hints and (expected := read_expected(hints[name])) is not None
    }
    returns = read_expected(hints["return"]) if "return" in hints else None
    return Contract(getattr(plain, "__qualname__", repr(plain)), signature, parameters, returns, where, hints)


def _of_each(parameter: inspect.Parameter, expected: Expected) -> Expected:
    """What is expected under the name: the annotation of ``*xs`` and ``**named`` is that of each of them."""
    if parameter.kind is parameter.VAR_POSITIONAL:
        return SequenceOf(expected, tuple)
    return MappingOf(expected) if parameter.kind is parameter.VAR_KEYWORD else expected


def read_expected(annotation: Any, inside: tuple[Any, ...] = ()) -> Expected | None:  # noqa: PLR0911 - one a kind
    """What an annotation says of tensors, however deep they are; None where there are none."""
    if (spec := spec_of(annotation)) is not None:
        return spec
    if annotation in inside:  # a dataclass that holds itself
        return None
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return _union(arguments, inside)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        items = tuple(read_expected(argument, inside) for argument in arguments)
        return TupleOf(items) if any(item is not None for item in items) else None
    if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping) and len(arguments) == 2:
        return MappingOf(inner) if (inner := read_expected(arguments[1], inside)) is not None else None
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable) and arguments:
        made_by = tuple if origin is tuple else list
        return SequenceOf(inner, made_by) if (inner := read_expected(arguments[0], inside)) is not None else None
    if isinstance(annotation, type):
        return _fields(annotation, inside)
    return None


def _union(arguments: Sequence[Any], inside: tuple[Any, ...]) -> Expected | None:
    said = [argument for argument in arguments if argument is not type(None)]
    if len(said) != 1:  # one or the other: nothing certain
        return None
    inner = read_expected(said[0], inside)
    return None if inner is None else OptionalOf(inner) if len(said) < len(arguments) else inner


def _fields(kind: type, inside: tuple[Any, ...]) -> Expected | None:
    is_record = dataclasses.is_dataclass(kind) or hasattr(kind, "_fields") or typing.is_typeddict(kind)
    if not is_record or issubclass(kind, torch.nn.Module):
        return None
    hints = _hints(kind, {})
    found = {name: read_expected(hint, (*inside, kind)) for name, hint in hints.items()}
    fields = {name: expected for name, expected in found.items() if expected is not None}
    return FieldsOf(kind, fields) if fields else None


def _hints(source: Any, names_around: Mapping[str, Any]) -> dict[str, Any]:
    """Annotations as objects. One that names what is not known (yet) is left out."""
    raw = {name: hint for kind in reversed(_kinds(source)) for name, hint in inspect.get_annotations(kind).items()}
    module = inspect.getmodule(source)
    around = getattr(source, "__globals__", vars(module) if module else {})
    parameters = {parameter.__name__: parameter for parameter in getattr(source, "__type_params__", ())}
    known = _Names(*map(dict, (parameters, names_around, around, vars(builtins))))
    hints = {}
    for name, hint in raw.items():
        text = getattr(hint, "__forward_arg__", hint)  # NamedTuple keeps annotations that are text as references
        if not isinstance(text, str):
            hints[name] = hint
            continue
        try:
            hints[name] = eval(text, {}, known)  # noqa: S307 - as typing.get_type_hints does
        except AnnotationError:
            raise
        except AttributeError as error:
            if isinstance(error.obj, types.ModuleType) and "Tensor[" in text:
                raise _not_in_module(text, error.obj, error.name or "") from None
        except Exception:  # noqa: BLE001, S112 - a name under TYPE_CHECKING, a syntax of another tool
            continue
    return hints


def _not_in_module(text: str, module: types.ModuleType, name: str) -> AnnotationError:
    """What to say of ``Tensor["B", torch.flaot32]``, with the name that was meant."""
    known = [f"{module.__name__}.{near}" for near in difflib.get_close_matches(name, dir(module), 2)]
    fix = f"Write {' or '.join(known)}." if known else 'Write for example Tensor["B", 3, torch.float32].'
    return AnnotationError(f"{text} was written as an annotation.", f"There is no {name!r} in {module.__name__}.", fix)


class _Names(ChainMap[str, Any]):
    """The names that an annotation may use. One that nobody knows is a size: formatters take the quotes off "B"."""

    def __missing__(self, name: str) -> Any:
        return Dim(name)


def _kinds(source: Any) -> Sequence[Any]:
    return [kind for kind in source.__mro__ if kind is not object] if isinstance(source, type) else [source]


def _closure_names(function: Any) -> dict[str, Any]:
    cells = getattr(function, "__closure__", None) or ()
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, cells, strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _line_of(function: Any) -> SourceLine | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return None
    return SourceLine(code.co_filename, code.co_firstlineno)
