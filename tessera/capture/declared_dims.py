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
from tessera.shapes.call import check_call
from tessera.shapes.signature import Contract, read_contract
from tessera.shapes.size import names
from tessera.shapes.spec import AnySize, OneOr, Several, TensorSpec
from tessera.shapes.unify import Mismatch, tensors_of


class DeclaredDims:
    """What a function, or a module's ``forward``, declares of the sizes of its arguments; nothing where it has none."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._contract = _contract_of(function)

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


def _contract_of(function: Callable[..., Any]) -> Contract | None:
    annotated = function.forward if isinstance(function, torch.nn.Module) else function
    annotated = getattr(function, "body", annotated)  # of a tessera.function
    if not inspect.isroutine(annotated):
        return None
    try:
        contract = read_contract(annotated)
    except AnnotationError:  # told by tessera.check; what runs is not held up by it
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
