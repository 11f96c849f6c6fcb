"""The inputs a model is exported and checked with."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch

from tessera.errors import ExportError
from tessera.export.formula import most, solved
from tessera.shapes.size import Size, evaluate
from tessera.shapes.size import names as names_in

_TRIES = 64  # sizes one larger each, until no length that is computed from them is one


@dataclass(frozen=True)
class Example:
    """The tensors of one call of a model, by position.

    Attributes:
        tensors: the inputs in order.
        names: what each is called in the file: its parameter, or ``batch.ids`` inside of one.
        dims: for each the names of its dimensions that may change, by position.
        largest: the largest size that a name may have, where one was declared.
        smallest: the smallest one, where it was declared to be more than 1.
        formulas: those names that are arithmetic of others, as ``2*S`` is, with what they are.
        only: the sizes that a file of fixed sizes is for, one after the other; none: any.
    """

    tensors: tuple[torch.Tensor, ...]
    names: tuple[str, ...]
    dims: tuple[Mapping[int, str], ...]
    largest: Mapping[str, int] = field(default_factory=dict)
    formulas: Mapping[str, Size] = field(default_factory=dict)
    only: tuple[Mapping[str, int], ...] = ()
    smallest: Mapping[str, int] = field(default_factory=dict)

    def call(self, module: torch.nn.Module) -> Any:
        """What ``module`` returns for this example."""
        return module(*self.tensors)

    def cases(self) -> Iterator[tuple[str, Self]]:
        """This example and fresh ones with other sizes, each with words for its sizes.

        Every name has once 1, 2, an odd size over the example's, and the largest; and all have 1. Where a smallest size
        was declared it is in the place of 1; where only some sizes are possible it is those.
        """
        sizes = self.sizes
        if self.only:
            yield from ((words(now), self.fresh(now, seed=at)) for at, now in enumerate(self.only))
            return
        yield words(sizes), self
        seen = [sizes]
        others = [{name: other} for name, size in sizes.items() for other in self._others(name, size)]
        for changed in [*others, {name: self.least(name) for name in sizes}]:
            now = {**sizes, **changed}
            if now not in seen and min(self.lengths(now).values()) >= 0:
                seen.append(now)
                yield words(now), self.fresh(now, seed=len(seen))

    def _others(self, name: str, size: int) -> list[int]:
        odd = size + 1 + size % 2
        largest, least = self.largest.get(name), self.least(name)
        wanted = [least, least + 1, odd, largest or 2 * size + 3]
        return wanted if largest is None else [min(each, largest) for each in wanted]

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every dimension that may change, by name; where only a formula has a name, what it stands for."""
        found = {
            name: tensor.shape[axis]
            for tensor, names in zip(self.tensors, self.dims, strict=True)
            for axis, name in names.items()
        }
        plain = {name: size for name, size in found.items() if name not in self.formulas}
        for name, formula in self.formulas.items():
            if name in found and any(each not in plain for each in names_in(formula)):
                plain |= solved(formula, found[name]) or {}
        return plain

    def lengths(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """The sizes, and what the formulas give for them."""
        computed = {name: evaluate(formula, sizes) for name, formula in self.formulas.items()}
        return {**sizes, **{name: length for name, length in computed.items() if length is not None}}

    def most(self, name: str) -> int | None:
        """The largest length of a name or formula; None where none was declared."""
        return most(self.formulas[name], self.largest) if name in self.formulas else self.largest.get(name)

    def least(self, name: str) -> int:
        """The smallest length of a name."""
        return self.smallest.get(name, 1)

    def traceable(self) -> Self:
        """The same with dimensions of at least two: torch.export takes a length of one for a constant."""
        sizes = {name: max(2, size) for name, size in self.sizes.items()}
        for more in range(_TRIES):
            larger = {name: size + more for name, size in sizes.items()}
            if min(self.lengths(larger).values(), default=2) >= 2:
                return self.resized(larger)
        return self.resized(sizes)

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
        return dataclasses.replace(
            self, dims=tuple({} for _ in self.dims), largest={}, smallest={}, formulas={}, only=()
        )

    def limited(self, sizes: Mapping[str, Sequence[int]]) -> Self:
        """The same for every combination of ``sizes``, and for no others; a name that is not there keeps its size.

        Raises:
            ExportError: a name that no dimension has, or a size that it cannot have.
        """
        now = self.sizes
        for name, wanted in sizes.items():
            least, most = self.least(name), self.most(name)
            if name not in now or not wanted or not all(least <= size <= (most or size) for size in wanted):
                bounds = [f"{least} at least"] * (least > 1) + [f"{most} at most"] * bool(most)
                raise ExportError(
                    f"sizes={{{name!r}: {wanted!r}}} was passed.",
                    f"The dimensions that may change are {', '.join(now) or 'none'}; each has one size or more"
                    + "".join(f", {bound}" for bound in bounds)
                    + ".",
                    "Write for example sizes={'B': (1, 8)} with names from dims.",
                )
        combined = itertools.product(*(sizes.get(name, (size,)) for name, size in now.items()))
        return dataclasses.replace(self, only=tuple(dict(zip(now, each, strict=True)) for each in combined))

    def double(self) -> Self:
        """The same in float64, whole numbers left alone."""
        return dataclasses.replace(
            self, tensors=tuple(t.double() if t.is_floating_point() else t for t in self.tensors)
        )

    def _changes(self, sizes: Mapping[str, int], *, equal: bool = False) -> dict[str, tuple[int, int]]:
        now, wanted = self.lengths(self.sizes), self.lengths({**self.sizes, **sizes})
        return {name: (now[name], size) for name, size in wanted.items() if equal or now[name] != size}

    def _taken(self, at: Mapping[str, torch.Tensor]) -> Self:
        """The same with the positions ``at`` of every named dimension."""
        tensors = []
        for tensor, names in zip(self.tensors, self.dims, strict=True):
            taken = tensor.detach()
            for axis, name in names.items():
                if name in at:
                    _check_not_empty(tensor, axis, name, at[name])
                    before: tuple[Any, ...] = (slice(None),) * axis
                    taken = taken[(*before, at[name].to(tensor.device))]  # index_select takes no uint64
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


def words(sizes: Mapping[str, int]) -> str:
    """``B 2, S 16``."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items()) or "the example"
