"""Arguments made of a contract: fake tensors of the declared sizes, both cases of what may be None or a bool."""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Mapping
from typing import Any

import torch

from tessera.check.world import UNDECLARED, World
from tessera.shapes.signature import Contract, Expected, FieldsOf, MappingOf, OptionalOf, SequenceOf, TupleOf
from tessera.shapes.spec import AnySize, OneOr, Several, TensorSpec

_USUAL = (torch.float32, torch.int64)  # of several dtypes that are allowed
_EXAMPLES = {int: 4, float: 0.5, str: ""}  # of arguments that are no tensors and have no default
_FREE_DIMENSIONS = 2  # that "..." stands for


class CannotMake(Exception):
    """An argument that nothing is known of; the message is a note for the report."""


def variants(contract: Contract) -> list[dict[str, Any]]:
    """Choices for arguments that decide which side of an ``if`` runs: the default ones, then one change at a time.

    A choice is ``True`` or ``False`` for a bool, whether there is anything for what may be None, and a value of a
    ``Literal`` or an ``Enum``.
    """
    base: dict[str, Any] = {}
    changes: list[tuple[str, Any]] = []
    for name, parameter in contract.signature.parameters.items():
        if isinstance(contract.parameters.get(name), OptionalOf):
            base[name] = True
            changes.append((name, False))
        elif typing.get_origin(hint := contract.hints.get(name)) is typing.Literal:
            first, *others = typing.get_args(hint)
            base[name] = first if parameter.default is parameter.empty else parameter.default
            changes += [(name, value) for value in (first, *others) if value != base[name]]
        elif isinstance(hint, type) and issubclass(hint, enum.Enum):
            base[name] = next(iter(hint)) if parameter.default is parameter.empty else parameter.default
            changes += [(name, value) for value in hint if value != base[name]]
        elif isinstance(parameter.default, bool) or _type_of(parameter) is bool:
            base[name] = parameter.default if isinstance(parameter.default, bool) else False
            changes.append((name, not base[name]))
    return [base, *({**base, name: value} for name, value in changes)]


def make_arguments(
    contract: Contract, world: World, choice: Mapping[str, Any], dtypes: Mapping[str, torch.dtype]
) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments for a call; what has a default that is meant is left out.

    Args:
        contract: of the function.
        world: whose symbols the sizes are.
        choice: one of ``variants``.
        dtypes: of tensors whose annotation says none, by place.

    Raises:
        CannotMake: nothing is known of an argument that has to be given.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    takes_all = any(one.kind is one.VAR_POSITIONAL for one in contract.signature.parameters.values())
    left_out = False
    for name, parameter in contract.signature.parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and name not in contract.parameters:
            continue
        value = _argument(name, parameter, contract, world, choice, dtypes)
        if value is parameter.default and not takes_all and parameter.kind is not parameter.POSITIONAL_ONLY:
            left_out = True  # it comes from the function: another may be tried there
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs |= {key: value[key] for key in world.named}
        elif parameter.kind is parameter.KEYWORD_ONLY or left_out:
            kwargs[name] = value
        else:
            args.append(value)
    return args, kwargs


def _argument(
    name: str,
    parameter: inspect.Parameter,
    contract: Contract,
    world: World,
    choice: Mapping[str, Any],
    dtypes: Mapping[str, torch.dtype],
) -> Any:
    expected = contract.parameters.get(name)
    if isinstance(expected, OptionalOf):
        return _make(expected.inner, world, name, dtypes) if choice[name] else None
    if expected is not None:
        return _make(expected, world, name, dtypes)
    if name in choice:
        return choice[name]
    if parameter.default is not parameter.empty:
        return parameter.default
    if (example := _EXAMPLES.get(_type_of(parameter))) is not None:
        return example
    raise CannotMake(
        f"{contract.name} was not checked: nothing is known of its argument {name!r}; "
        "annotate it, or give it a default."
    )


def _type_of(parameter: inspect.Parameter) -> Any:
    named = {"int": int, "float": float, "bool": bool, "str": str}
    return named.get(parameter.annotation, parameter.annotation) if parameter.annotation.__hash__ else None


def _make(  # noqa: PLR0911 - one for each kind of annotation
    expected: Expected | None, world: World, place: str, dtypes: Mapping[str, torch.dtype]
) -> Any:
    match expected:
        case None:
            return None
        case TensorSpec():
            return _tensor(expected, world, dtypes.get(place))
        case OptionalOf(inner):
            return _make(inner, world, place, dtypes)
        case SequenceOf(inner, made_by):
            return made_by(_make(inner, world, f"{place}[{at}]", dtypes) for at in range(world.items))
        case TupleOf(items):
            return tuple(_make(item, world, f"{place}[{at}]", dtypes) for at, item in enumerate(items))
        case MappingOf(inner):
            return _AnyKey(inner, world, place, dtypes)
        case FieldsOf(made_by, fields):
            return _record(made_by, {n: _make(e, world, f"{place}.{n}", dtypes) for n, e in fields.items()})


def _tensor(spec: TensorSpec, world: World, dtype: torch.dtype | None) -> torch.Tensor:
    sizes: list[Any] = []
    for at, place in enumerate(spec.places if spec.places is not None else (Several(),)):
        match place:
            case Several(name):
                several = name or ("..." if spec.places is not None else UNDECLARED)
                sizes += [world.free(several, n) for n in range(_FREE_DIMENSIONS)]
            case AnySize():
                sizes.append(world.free("_", at))
            case OneOr(size):
                sizes.append(world.size(size))
            case _:
                sizes.append(world.size(place))
    dtype = dtype or next((d for d in _USUAL if d in spec.dtypes), *spec.dtypes[:1] or (torch.get_default_dtype(),))
    with world.mode:
        return torch.empty(sizes, dtype=dtype)


def _record(kind: type, fields: dict[str, Any]) -> Any:
    if typing.is_typeddict(kind):
        return fields
    if hasattr(kind, "_fields"):  # a NamedTuple
        defaults = getattr(kind, "_field_defaults", {})
        return kind(**{name: fields.get(name, defaults.get(name)) for name in inspect.signature(kind).parameters})
    record: Any = object.__new__(kind)
    for name, value in {
        **{n: getattr(kind, n, None) for n in getattr(kind, "__dataclass_fields__", ())},
        **fields,
    }.items():
        object.__setattr__(record, name, value)
    return record


class _AnyKey(dict[str, Any]):
    """A dict that has every key it is asked for: the annotation says nothing of the keys."""

    def __init__(self, inner: Expected, world: World, place: str, dtypes: Mapping[str, torch.dtype]) -> None:
        super().__init__()
        self._make = lambda key: _make(inner, world, f"{place}[{key!r}]", dtypes)
        self["a"], self["b"] = self._make("a"), self._make("b")  # for loops over all

    def __missing__(self, key: str) -> Any:
        self[key] = self._make(key)
        return self[key]
