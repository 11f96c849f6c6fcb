"""The inputs a model is exported and checked with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch

from tessera.errors import ExportError


@dataclass(frozen=True)
class Example:
    """The tensors of one call of a model, by position.

    Attributes:
        tensors: the inputs in order.
        names: what each is called in the file: its parameter, or ``batch.ids`` inside of one.
        dims: for each the names of its dimensions that may change, by position.
        largest: the largest size that a name may have, where one was declared.
    """

    tensors: tuple[torch.Tensor, ...]
    names: tuple[str, ...]
    dims: tuple[Mapping[int, str], ...]
    largest: Mapping[str, int] = field(default_factory=dict)

    def call(self, module: torch.nn.Module) -> Any:
        """What ``module`` returns for this example."""
        return module(*self.tensors)

    def cases(self) -> Iterator[tuple[str, Self]]:
        """This example and fresh ones with other sizes, each with words for its sizes.

        Every name has once 1, 2, an odd size over the example's, and the largest; and all have 1.
        """
        sizes = self.sizes
        yield _words(sizes), self
        seen = [sizes]
        others = [{name: other} for name, size in sizes.items() for other in self._others(name, size)]
        for changed in [*others, dict.fromkeys(sizes, 1)]:
            if (now := {**sizes, **changed}) not in seen:
                seen.append(now)
                yield _words(now), self.fresh(now, seed=len(seen))

    def _others(self, name: str, size: int) -> list[int]:
        odd = size + 1 + size % 2
        largest = self.largest.get(name)
        return [1, 2, odd if largest is None else min(odd, largest), largest or 2 * size + 3]

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
        changes = self._changes(sizes)
        return self._taken({name: torch.arange(size) % max(1, old) for name, (old, size) in changes.items()})

    def fresh(self, sizes: Mapping[str, int], seed: int) -> Self:
        """Other inputs of these lengths: drawn from the example's own values, floats moved a little."""
        generator = torch.Generator().manual_seed(seed)
        wanted = {**self.sizes, **sizes}
        drawn = self._taken(
            {
                name: torch.randint(max(1, old), (size,), generator=generator)
                for name, (old, size) in self._changes(wanted, equal=True).items()
            }
        )
        return dataclasses.replace(drawn, tensors=tuple(_moved(t, generator) for t in drawn.tensors))

    def fixed(self) -> Self:
        """The same with no size that may change."""
        return dataclasses.replace(self, dims=tuple({} for _ in self.dims), largest={})

    def double(self) -> Self:
        """The same in float64, whole numbers left alone."""
        return dataclasses.replace(
            self, tensors=tuple(t.double() if t.is_floating_point() else t for t in self.tensors)
        )

    def _changes(self, sizes: Mapping[str, int], *, equal: bool = False) -> dict[str, tuple[int, int]]:
        now = self.sizes
        return {name: (now[name], size) for name, size in sizes.items() if equal or now[name] != size}

    def _taken(self, at: Mapping[str, torch.Tensor]) -> Self:
        """The same with the positions ``at`` of every named dimension."""
        tensors = []
        for tensor, names in zip(self.tensors, self.dims, strict=True):
            taken = tensor.detach()
            for axis, name in names.items():
                if name in at:
                    _check_not_empty(tensor, axis, name, at[name])
                    taken = taken.index_select(axis, at[name].to(tensor.device))
            tensors.append(taken)
        return dataclasses.replace(self, tensors=tuple(tensors))


def _check_not_empty(tensor: torch.Tensor, axis: int, name: str, at: torch.Tensor) -> None:
    if not tensor.shape[axis] and len(at):
        raise ExportError(
            f"The example input has no element along {name} (its shape is {list(tensor.shape)}).",
            "Inputs of other sizes are made from the example's own values.",
            "Pass an example of two samples or more.",
        )


def _moved(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A few percent away from it, zeros left alone: a mask stays a mask, and a logarithm's argument positive."""
    if not tensor.is_floating_point():
        return tensor
    factors = 1 + 0.1 * (torch.rand(tensor.shape, generator=generator) - 0.5)
    numbers = tensor.float() if tensor.itemsize == 1 else tensor  # eight-bit floats have no arithmetic
    whole = bool((numbers == numbers.round()).all())
    return tensor if whole else (numbers * factors.to(numbers.device, numbers.dtype)).to(tensor.dtype)


def _words(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items()) or "the example"
