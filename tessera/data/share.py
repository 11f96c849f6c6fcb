"""Which part of every batch is one rank's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tessera.errors import SettingError


@dataclass(frozen=True)
class Share:
    """A batch of all ranks is cut into equal parts, one behind the other.

    Attributes:
        batch_size: samples in a batch of all ranks together.
        rank: this process, from 0.
        world_size: how many there are.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        for name, value, least in (("batch_size", self.batch_size, 1), ("world_size", self.world_size, 1)):
            if not _is_whole(value) or value < least:
                raise SettingError(
                    f"{name}={value!r} was passed.",
                    f"{name} is a whole number of at least {least}.",
                    f"Write for example {name}={'32' if name == 'batch_size' else '1'}.",
                )
        if not _is_whole(self.rank) or not 0 <= self.rank < self.world_size:
            raise SettingError(
                f"rank={self.rank!r} of world_size={self.world_size} was passed.",
                f"rank is a whole number from 0 to {self.world_size - 1}.",
                "Write for example rank=torch.distributed.get_rank(), world_size=torch.distributed.get_world_size().",
            )
        if self.batch_size % self.world_size:
            raise SettingError(
                f"batch_size={self.batch_size} was passed for world_size={self.world_size}.",
                "batch_size counts the samples of all ranks together, and every rank gets as many as the others.",
                f"Write for example batch_size={-(-self.batch_size // self.world_size) * self.world_size}.",
            )

    @property
    def size(self) -> int:
        """Samples of this rank in a whole batch."""
        return self.batch_size // self.world_size

    @property
    def mine(self) -> range:
        """This rank's places in a whole batch."""
        return range(self.rank * self.size, (self.rank + 1) * self.size)

    def part(self, start: int, stop: int) -> tuple[int, int]:
        """This rank's positions of the batch ``start`` to ``stop``, which has a multiple of ``world_size``."""
        each = (stop - start) // self.world_size
        return start + self.rank * each, start + (self.rank + 1) * each


@dataclass(frozen=True)
class Stretches:
    """Positions ``start`` to ``end`` in stretches of ``size``; the last may be shorter, or left out."""

    start: int
    end: int
    size: int
    whole: bool

    def __len__(self) -> int:
        whole, rest = divmod(self.end - self.start, self.size)
        return whole + bool(rest and not self.whole)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for number in range(len(self)):
            first = self.start + number * self.size
            yield first, min(first + self.size, self.end)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
