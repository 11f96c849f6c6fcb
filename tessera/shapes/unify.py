"""Do these tensors fit what was declared? The sizes by name, or the first reason why not.

Nothing here raises or prints: a ``Mismatch`` is the answer, and who asked decides. Sizes may be numbers or symbols.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from tessera import torch_internals
from tessera.shapes.signature import Expected, FieldsOf, MappingOf, OptionalOf, SequenceOf, TupleOf
from tessera.shapes.size import Dim, Operation, Size, evaluate, names
from tessera.shapes.spec import AnySize, OneOr, Several, TensorSpec

Kind = Literal["rank", "size", "dtype", "device", "type"]


@dataclass
class Bindings:
    """What names stand for, and which place said so first: ``sizes["B"] == 8`` by ``said_by["B"] == "x"``."""

    sizes: dict[str, Any] = field(default_factory=dict)
    said_by: dict[str, str] = field(default_factory=dict)
    several: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def bind(self, name: str, size: Any, place: str) -> None:
        self.sizes[name] = size
        self.said_by.setdefault(name, place)

    def copy(self) -> Bindings:
        return Bindings(dict(self.sizes), dict(self.said_by), dict(self.several))


@dataclass(frozen=True)
class Mismatch:
    """What does not fit.

    Attributes:
        kind: rank, size, dtype or device of a tensor, or something else than a tensor.
        place: the argument, such as ``x`` or ``batch["ids"]``; ``return value`` for a result.
        spec: what was declared.
        given: what came.
        axis: the dimension, of a size.
        bound: what names stood for when it was found.
    """

    kind: Kind
    place: str
    spec: Expected
    given: Any
    axis: int | None = None
    bound: Bindings = field(default_factory=Bindings)


def tensors_of(  # noqa: PLR0912 - one for each kind of annotation
    expected: Expected, value: Any, place: str
) -> Iterator[tuple[str, TensorSpec, Any] | Mismatch]:
    """Every tensor in ``value`` with what is said of it; a ``Mismatch`` where the structure is another."""
    match expected:
        case TensorSpec():
            if isinstance(value, torch.Tensor):
                yield place, expected, value
            else:
                yield Mismatch("type", place, expected, value)
        case OptionalOf(inner):
            if value is not None:
                yield from tensors_of(inner, value, place)
        case SequenceOf(inner):
            if isinstance(value, torch.Tensor) or not hasattr(value, "__iter__"):
                yield Mismatch("type", place, expected, value)
            elif hasattr(value, "__getitem__"):  # an iterator would be used up
                for at, item in enumerate(value):
                    yield from tensors_of(inner, item, f"{place}[{at}]")
        case TupleOf(items):
            if not isinstance(value, (tuple, list)) or len(value) != len(items):
                yield Mismatch("type", place, expected, value)
                return
            for at, (wanted, item) in enumerate(zip(items, value, strict=True)):
                if wanted is not None:
                    yield from tensors_of(wanted, item, f"{place}[{at}]")
        case MappingOf(inner):
            if not isinstance(value, Mapping):
                yield Mismatch("type", place, expected, value)
                return
            for key, item in value.items():
                yield from tensors_of(inner, item, f"{place}[{key!r}]")
        case FieldsOf(fields=fields):
            for name, wanted in fields.items():
                is_mapping = isinstance(value, Mapping)
                if not is_mapping and not hasattr(value, name):
                    yield Mismatch("type", place, expected, value)
                    return
                if is_mapping and name not in value:
                    continue
                item = value[name] if is_mapping else getattr(value, name)
                yield from tensors_of(wanted, item, f"{place}[{name!r}]" if is_mapping else f"{place}.{name}")


def unify(
    expected: Mapping[str, Expected], values: Mapping[str, Any], bound: Bindings | None = None
) -> Bindings | Mismatch:
    """Compare arguments with what is declared of them.

    Args:
        expected: by the name of the argument.
        values: the arguments; those that are not there are not compared.
        bound: what names stand for already; it is added to.
    """
    bound = bound or Bindings()
    computed: list[
        tuple[str, TensorSpec, torch.Tensor, int, Size]
    ] = []  # sizes to be computed once all names are bound
    for name, wanted in expected.items():
        if name not in values:
            continue
        for found in tensors_of(wanted, values[name], name):
            if isinstance(found, Mismatch):
                return found
            place, spec, tensor = found
            if (wrong := _unify_tensor(spec, tensor, place, bound, computed)) is not None:
                return wrong
    for place, spec, tensor, axis, size in computed:
        if not _fits_computed(size, tensor.shape[axis], place, bound):
            return Mismatch("size", place, spec, tensor, axis, bound)
    return bound


def _unify_tensor(
    spec: TensorSpec,
    tensor: torch.Tensor,
    place: str,
    bound: Bindings,
    computed: list[tuple[str, TensorSpec, torch.Tensor, int, Size]],
) -> Mismatch | None:
    if spec.dtypes and tensor.dtype not in spec.dtypes:
        return Mismatch("dtype", place, spec, tensor, bound=bound)
    if spec.device is not None and not _same_device(spec.device, tensor.device):
        return Mismatch("device", place, spec, tensor, bound=bound)
    aligned = spec.aligned(tensor.dim())
    if aligned is None:
        return Mismatch("rank", place, spec, tensor, bound=bound)
    if not _fits_several(spec, tensor, bound):
        return Mismatch("rank", place, spec, tensor, bound=bound)
    for axis, (declared, size) in enumerate(zip(aligned, tensor.shape, strict=True)):
        if isinstance(declared, (AnySize, Several)) or (isinstance(declared, OneOr) and _equal(size, 1)):
            continue
        wanted = declared.size if isinstance(declared, OneOr) else declared
        if isinstance(wanted, Operation):
            computed.append((place, spec, tensor, axis, wanted))
        elif isinstance(wanted, Dim) and wanted.name not in bound.sizes:
            bound.bind(wanted.name, size, place)
        elif not _equal(size, evaluate(wanted, bound.sizes)):
            return Mismatch("size", place, spec, tensor, axis, bound)
    return None


def _fits_several(spec: TensorSpec, tensor: torch.Tensor, bound: Bindings) -> bool:
    for at, wanted in enumerate(spec.places or ()):
        if isinstance(wanted, Several) and wanted.name is not None:
            behind = len(spec.places or ()) - at - 1
            sizes = tuple(tensor.shape[at : tensor.dim() - behind])
            known = bound.several.setdefault(wanted.name, sizes)
            return len(known) == len(sizes) and all(_equal(a, b) for a, b in zip(known, sizes, strict=True))
    return True


def _equal(one: Any, other: Any) -> bool:
    """Whether two sizes are the same; symbols are by the numbers they were made with, and one without fits all."""
    a, b = torch_internals.size_hint(one), torch_internals.size_hint(other)
    return a is None or b is None or bool(a == b)


def _same_device(declared: torch.device, given: torch.device) -> bool:
    return declared.type == given.type and (declared.index is None or declared.index == given.index)


def _fits_computed(size: Size, given: Any, place: str, bound: Bindings) -> bool:
    if (wanted := evaluate(size, bound.sizes)) is not None:
        return _equal(given, wanted)
    free = [name for name in dict.fromkeys(names(size)) if name not in bound.sizes]
    if len(free) != 1 or names(size).count(free[0]) != 1:
        return True  # several names that nothing says more of
    solved = _solve(size, given, bound.sizes)
    if solved is None:
        return False
    bound.bind(free[0], solved, place)
    return True


def _solve(size: Size, given: Any, known: Mapping[str, Any]) -> Any:
    """The number that the one unknown name in ``size`` must be for ``size`` to be ``given``; None if there is none."""
    if not isinstance(size, Operation):
        return given if (torch_internals.size_hint(given) or 0) >= 0 else None
    left, right = evaluate(size.left, known), evaluate(size.right, known)
    unknown, other = (size.left, right) if left is None else (size.right, left)
    match size.sign:
        case "+":
            return _solve(unknown, given - other, known)
        case "-":
            return _solve(unknown, given + other if left is None else other - given, known)
        case "*":
            if _equal(other, 0) or not _equal(given % other, 0):
                return None
            return _solve(unknown, given // other, known)
    return None
