"""The inputs a model is exported and checked with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from tessera.errors import ExportError
from tessera.train.example_inputs import remembered_inputs

Inputs = torch.Tensor | Sequence[torch.Tensor] | Mapping[str, torch.Tensor]
Dims = Sequence[Mapping[int, str]] | Mapping[str, Mapping[int, str]]

_CHECKED_BATCHES = (1, 5, 7)


@dataclass(frozen=True)
class Example:
    """One call of a model.

    Attributes:
        tensors: the inputs in order.
        names: the keyword of each; empty when they are positional.
        dims: for each input the names of its dimensions that may change, by position.
    """

    tensors: tuple[torch.Tensor, ...]
    names: tuple[str, ...]
    dims: tuple[Mapping[int, str], ...]

    @classmethod
    def of(cls, module: torch.nn.Module, inputs: Inputs | None, dims: Dims | None) -> Self:
        """The example in ``inputs``, else the inputs ``module`` was last trained on.

        Without ``dims`` the first dimension of every input that is as long as the first input's is called ``batch``.

        Raises:
            ExportError: there is no example, or it holds something other than tensors.
        """
        if inputs is None:
            inputs = remembered_inputs(module)
        if isinstance(inputs, torch.Tensor):
            inputs = (inputs,)
        tensors = tuple(inputs.values()) if isinstance(inputs, Mapping) else tuple(inputs or ())
        if not tensors or not all(isinstance(t, torch.Tensor) for t in tensors):
            raise ExportError(
                f"example_inputs holds {', '.join(type(t).__name__ for t in tensors) or 'nothing'}, and "
                f"{type(module).__name__} was not trained with fit before.",
                "An export follows one call of the model, so it needs the tensors of such a call.",
                "Write for example model.export('model.onnx', example_inputs=torch.randn(2, 784)).",
            )
        names = tuple(inputs) if isinstance(inputs, Mapping) else ()
        return cls(tensors, names, _dims(tensors, names, dims)).resized({})

    def call(self, module: torch.nn.Module) -> Any:
        """What ``module`` returns for this example."""
        return module(**dict(zip(self.names, self.tensors, strict=True))) if self.names else module(*self.tensors)

    def cases(self) -> Iterator[tuple[str, Self]]:
        """This example and the same with other sizes, each with words for its sizes."""
        sizes = self.sizes
        yield _words(sizes), self
        for name, size in sizes.items():
            first = name == next(iter(sizes))
            for other in _CHECKED_BATCHES if first else (size - 1,):
                if other not in (size, 0):
                    yield _words({**sizes, name: other}), self.resized({name: other})

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every dimension that may change, by name."""
        return {
            name: tensor.shape[axis]
            for tensor, names in zip(self.tensors, self.dims, strict=True)
            for axis, name in names.items()
        }

    def traceable(self) -> Self:
        """The same with dimensions of at least two: torch.export takes a length of one for a constant."""
        return self.resized({name: max(2, size) for name, size in self.sizes.items()})

    def resized(self, sizes: Mapping[str, int]) -> Self:
        """The same with other lengths, its samples repeated or cut."""
        return dataclasses.replace(
            self, tensors=tuple(_resize(t, names, sizes) for t, names in zip(self.tensors, self.dims, strict=True))
        )

    def double(self) -> Self:
        """The same in float64, whole numbers left alone."""
        return dataclasses.replace(
            self, tensors=tuple(t.double() if t.is_floating_point() else t for t in self.tensors)
        )


def _dims(tensors: Sequence[torch.Tensor], names: Sequence[str], dims: Dims | None) -> tuple[Mapping[int, str], ...]:
    if isinstance(dims, Mapping):
        return tuple(dims.get(name, {}) for name in names)
    if dims is not None:
        return tuple(dims)
    batch = next((len(t) for t in tensors if t.dim()), None)
    return tuple({0: "batch"} if t.dim() and len(t) == batch else {} for t in tensors)


def _resize(tensor: torch.Tensor, names: Mapping[int, str], sizes: Mapping[str, int]) -> torch.Tensor:
    for axis, name in names.items():
        old = tensor.shape[axis]
        if sizes.get(name, old) != old:
            tensor = tensor.index_select(axis, torch.arange(sizes[name], device=tensor.device) % old)
    return tensor.detach()


def _words(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items()) or "the example"
