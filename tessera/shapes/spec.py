"""What an annotation says of one tensor: its sizes, and where they were given its dtype, device and range."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from tessera.shapes.size import Size, names


@dataclass(frozen=True)
class AnySize:
    """``"_"``: a size that nothing is said of."""

    def __str__(self) -> str:
        return "_"


@dataclass(frozen=True)
class Several:
    """``...`` or ``"*batch"``: any number of dimensions, with one name where they are the same in several places."""

    name: str | None = None

    def __str__(self) -> str:
        return f"*{self.name}" if self.name else "..."


@dataclass(frozen=True)
class OneOr:
    """``"#B"``, as jaxtyping writes it: the size, or 1 that is broadcast to it."""

    size: Size

    def __str__(self) -> str:
        return f"#{self.size}"


Place = Size | AnySize | Several | OneOr


@dataclass(frozen=True)
class Between:
    """A range of values, both ends included."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"between({self.low:g}, {self.high:g})"


def between(low: float, high: float) -> Between:
    """The values of a tensor, for its annotation: ``Tensor["B", 784, tessera.between(0, 1)]``; both ends included."""
    return Between(float(low), float(high))


@dataclass(frozen=True)
class TensorSpec:
    """What ``Tensor["B", "S", 512, torch.bfloat16]`` says.

    Attributes:
        places: what is said of each dimension, at most one of them a ``Several``; None where nothing was said.
        dtypes: those that are allowed; none where nothing was said.
        device: its type, and its index where one was written.
        values: their range.
    """

    places: tuple[Place, ...] | None
    dtypes: tuple[torch.dtype, ...] = ()
    device: torch.device | None = None
    values: Between | None = None
    kind: str = field(default="", compare=False)  # "float", where an annotation allows several dtypes by one word

    def __str__(self) -> str:
        if self.places is None and not self.dtypes and self.device is None and self.values is None:
            return "Tensor"
        parts = [written(place) for place in self.places or ()] if self.places is not None else ["..."]
        if self.kind or self.dtypes:
            parts.append(self.kind or " | ".join(map(dtype_name, self.dtypes)))
        parts += [repr(str(self.device)).replace("'", '"')] if self.device is not None else []
        parts += [str(self.values)] if self.values is not None else []
        return f"Tensor[{', '.join(parts) or '()'}]"

    def aligned(self, rank: int) -> list[Place] | None:
        """What is said of each of ``rank`` dimensions (``AnySize`` behind a ``...``); None where they do not fit."""
        if self.places is None:
            return [AnySize()] * rank
        at = next((i for i, place in enumerate(self.places) if isinstance(place, Several)), None)
        if at is None:
            return list(self.places) if len(self.places) == rank else None
        before, behind = self.places[:at], self.places[at + 1 :]
        free = rank - len(before) - len(behind)
        return [*before, *([AnySize()] * free), *behind] if free >= 0 else None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of sizes, each once, in order; names of several dimensions are not among them."""
        found: dict[str, None] = {}
        for place in self.places or ():
            size = place.size if isinstance(place, OneOr) else place
            if not isinstance(size, (AnySize, Several)):
                found |= dict.fromkeys(names(size))
        return tuple(found)


def written(place: Place | str) -> str:
    """A place as it stands in an annotation: ``512``, ``"B"``, ``...``."""
    text = str(place)
    return text if text == "..." or text.isdigit() else f'"{text}"'


def shape_text(sizes: Iterable[object]) -> str:
    """``Tensor["B", "S", 512]`` of sizes that are known as texts or numbers."""
    return f"Tensor[{', '.join(written(str(size)) for size in sizes) or '()'}]"


def dtype_name(dtype: torch.dtype) -> str:
    """``float32``."""
    return str(dtype).removeprefix("torch.")
