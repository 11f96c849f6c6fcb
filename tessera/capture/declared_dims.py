"""Declared sizes are symbols from the first call: ``x: Tensor["B", 512]`` is compiled once for every ``B``.

Without a declaration the first size is taken for a constant, the second one met makes it a symbol, and sizes 0 and 1
are compiled for themselves.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import AnnotationError
from tessera.program import Report
from tessera.shapes.call import check_call
from tessera.shapes.signature import Contract, read_contract
from tessera.shapes.size import names
from tessera.shapes.spec import AnySize, OneOr, Several, TensorSpec, shape_text
from tessera.shapes.unify import Mismatch, tensors_of


class DeclaredDims:
    """What a function, or a module's ``forward``, declares of the sizes of its arguments; nothing where it has none.

    Args:
        function: the function or module.
        report: where a size that was not declared and is compiled for a second time is noted.
    """

    def __init__(self, function: Callable[..., Any], report: Report) -> None:
        self._contract, self._report = _contract_of(function), report
        self._signature = _signature_of(function)
        self._shapes: dict[str, tuple[int, ...]] = {}  # of the last capture, by argument

    @contextlib.contextmanager
    def as_symbols(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], beside: Any = ()) -> Iterator[None]:
        """Within, a capture of a call with these arguments takes their declared sizes for symbols.

        Args:
            args, kwargs: of the call.
            beside: tensors, nested, that go into the same capture; where they have a size that was declared, as labels
                have the batch's, it is a symbol too.

        Raises:
            ShapeError: an argument is not what was declared.
        """
        before, known = dict(self._shapes), len(self._report.compilations)
        self._shapes = self._shapes_of(args, kwargs)
        with self._declared_as_symbols(args, kwargs, beside):
            yield
        if len(self._report.compilations) > known and (note := _advice(before, self._shapes)):
            self._report.compilations[-1].notes.append(note)

    def _shapes_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        if self._signature is None:
            return {}
        try:
            bound = self._signature.bind(*args, **kwargs).arguments
        except TypeError:  # the call itself will say
            return {}
        return {name: tuple(value.shape) for name, value in bound.items() if isinstance(value, torch.Tensor)}

    @contextlib.contextmanager
    def _declared_as_symbols(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], beside: Any) -> Iterator[None]:
        if self._contract is None or (found := check_call(self._contract, args, kwargs)) is None:
            yield
            return
        bound = self._contract.signature.bind(*args, **kwargs).arguments
        marked = list(_declared(self._contract, bound))
        for tensor in torch_internals.tensors_in(beside):
            axes = [axis for axis, size in enumerate(tensor.shape) if size in found.sizes.values()]
            if axes and all(tensor is not known for known, _ in marked):
                marked.append((tensor, axes))
        with torch_internals.symbolic_sizes(marked):
            yield


def _advice(before: Mapping[str, tuple[int, ...]], now: Mapping[str, tuple[int, ...]]) -> str:
    """What to declare, where an argument came with another size than the capture before was made for."""
    for name, shape in now.items():
        old = before.get(name)
        if old is None or len(old) != len(shape) or old == shape:
            continue
        pairs = enumerate(zip(old, shape, strict=True))
        written = [size if size == was else _name_of(axis) for axis, (was, size) in pairs]
        return (
            f"compiled again, because {name} came as {list(shape)} after {list(old)}; "
            f"declared as {name}: {shape_text(written)} it is compiled once for all sizes"
        )
    return ""


def _name_of(axis: int) -> str:
    return ("B", "S")[axis] if axis < 2 else f"D{axis}"


def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function.forward if isinstance(function, torch.nn.Module) else function)
    except (TypeError, ValueError):
        return None


def _contract_of(function: Callable[..., Any]) -> Contract | None:
    annotated = function.forward if isinstance(function, torch.nn.Module) else function
    annotated = getattr(function, "body", annotated)  # of a tessera.function
    if not inspect.isroutine(annotated):
        return None
    try:
        contract = read_contract(annotated)
    except (AnnotationError, TypeError, ValueError):  # told by tessera.check, or a builtin without a signature
        return None
    return contract if contract.names else None


def _declared(contract: Contract, bound: Mapping[str, Any]) -> Iterator[tuple[torch.Tensor, list[int]]]:
    for name, expected in contract.parameters.items():
        for found in tensors_of(expected, bound.get(name), name) if name in bound else ():
            if not isinstance(found, Mismatch) and (axes := _named_axes(found[1], found[2])):
                yield found[2], axes


def _named_axes(spec: TensorSpec, tensor: torch.Tensor) -> list[int]:
    """Dimensions whose declared size has a name in it."""
    axes = []
    for axis, place in enumerate(spec.aligned(tensor.dim()) or ()):
        size = place.size if isinstance(place, OneOr) else place
        if not isinstance(size, (AnySize, Several)) and names(size):
            axes.append(axis)
    return axes
