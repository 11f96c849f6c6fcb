"""Data that sits in memory: shuffled, cut into batches and stacked, so that many steps are one program call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from tessera.checkpoint.fingerprint import fingerprint
from tessera.data.permutation import mix
from tessera.errors import BatchError, EmptyDatasetError
from tessera.train.batches import Batch, BatchReader, Stack, describe
from tessera.train.pace import MOST_STEPS, Pace

_LARGEST_STACK = 64 * 2**20  # bytes of one stack: small beside any model worth the memory, large beside any overhead


@dataclass
class InMemory:
    """A dataset of tensors ``[samples, ...]``.

    Attributes:
        data: the whole dataset as one batch, on whatever device it is.
        batch_size: samples in a batch; the last one of an epoch may be smaller.
        seed: of the order of every epoch; None keeps the order of the data.
        device: where the batches go.
        epoch, offset: of the next batch, both from 0.
    """

    data: Batch
    batch_size: int
    seed: int | None
    device: torch.device
    once: bool = field(default=False, init=False)
    epoch: int = 0
    offset: int = 0
    _drawn: tuple[int, torch.Tensor] = field(default=(-1, torch.empty(0)), init=False)

    @property
    def samples(self) -> int:
        return self.data.size

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return math.ceil(self.samples / self.batch_size)

    @property
    def span(self) -> int:
        """Epochs worth training without a look in between: several where they are short and of whole batches."""
        return max(1, MOST_STEPS // self.steps) if self.samples % self.batch_size == 0 else 1

    def take(self, epochs: int, limit: int, pace: Pace) -> Iterator[Batch | Stack]:
        """The batches of the next ``epochs`` epochs, the running one among them, at most ``limit`` of them.

        They come in stacks of ``pace.next``. The position is that after the batches handed out last.
        """
        place = self.epoch * self.steps + self.offset
        end = min((self.epoch + epochs) * self.steps, place + limit)
        most = max(1, _LARGEST_STACK // max(1, self._batch_bytes))
        whole = self.samples // self.batch_size  # batches of full size in an epoch
        while place < end:
            steps = min(pace.next, most, end - place)
            if whole < self.steps:  # stacks end before the smaller batch
                steps = min(steps, max(1, whole - place % self.steps))
            rows = self._rows(place, steps)
            place += steps
            self.epoch, self.offset = divmod(place, self.steps)
            yield self._gather(rows, steps)

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass in the order of the data."""
        for first in range(0, self.samples, self.batch_size):
            rows = slice(first, first + self.batch_size)
            yield self._batch([t[rows].to(self.device) for t in self._tensors])

    def state_dict(self) -> dict[str, Any]:
        """The position after the batches handed out last, and what the order follows from."""
        return {"epoch": self.epoch, "offset": self.offset, "seed": self.seed, "batch_size": self.batch_size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self.epoch, self.offset, self.seed = state["epoch"], state["offset"], state["seed"]
        self._drawn = (-1, torch.empty(0))

    def fingerprint(self) -> dict[str, Any]:
        """What would differ if it were other data; see ``tessera.checkpoint``."""
        arrays = {str(number): fingerprint(tensor) for number, tensor in enumerate(self._tensors)}
        return {**arrays, "batch_size": self.batch_size, "shuffle": self.seed is not None}

    @property
    def _tensors(self) -> tuple[torch.Tensor, ...]:
        return (*self.data.inputs, *self.data.labels)

    @property
    def _batch_bytes(self) -> int:
        return sum(t.element_size() * t[0].numel() for t in self._tensors) * self.batch_size

    def _rows(self, place: int, steps: int) -> torch.Tensor:
        """The samples of ``steps`` batches from the one at ``place``, counted over all epochs: ``[steps * size]``."""
        epoch, offset = divmod(place, self.steps)
        start = epoch * self.samples + offset * self.batch_size
        stop = min(start + steps * self.batch_size, (epoch + (offset + steps - 1) // self.steps + 1) * self.samples)
        if self.seed is None:
            return torch.arange(start, stop) % self.samples
        block = max(1, MOST_STEPS // self.samples) * self.samples  # short epochs are drawn many at a time
        pieces = []
        while start < stop:
            number, inside = divmod(start, block)
            taken = min(stop - start, block - inside)
            pieces.append(self._block(number)[inside : inside + taken])
            start += taken
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _block(self, number: int) -> torch.Tensor:
        """The orders of the epochs of a block, one behind the other, drawn from the seed and its number alone."""
        if self._drawn[0] != number:
            generator = torch.Generator().manual_seed(mix(abs(self.seed or 0), number) >> 1)
            epochs = MOST_STEPS // self.samples
            if epochs <= 1:
                order = torch.randperm(self.samples, generator=generator)
            else:
                order = torch.rand(epochs, self.samples, generator=generator, dtype=torch.float64).argsort(1).flatten()
            self._drawn = number, order
        return self._drawn[1]

    def _gather(self, rows: torch.Tensor, steps: int) -> Batch | Stack:
        rows = rows.to(self._tensors[0].device)
        tensors = [t.index_select(0, rows).to(self.device) for t in self._tensors]
        if steps == 1:
            return self._batch(tensors)
        size = rows.numel() // steps
        one = self._batch([t.unflatten(0, (steps, size)) for t in tensors])
        return Stack(one.inputs, one.target, steps, size, one.names, one.weight)

    def _batch(self, tensors: list[torch.Tensor]) -> Batch:
        return self.data.of(tensors)


def in_memory(
    found: object,
    reader: BatchReader,
    name: str,
    batch_size: int,
    seed: int | None,
    sample_weight: object = None,
) -> InMemory:
    """The dataset in ``found``: ``(x, y)``, ``(x1, x2, y)`` or a dict of arrays, each ``[samples, ...]``.

    Raises:
        BatchError: there are no labels, or not as many labels as inputs.
        EmptyDatasetError: there are no samples.
    """
    data = reader.convert(found, f"The {name}")
    if data.labels and not isinstance(data.target, torch.Tensor):
        raise BatchError(
            f"The labels of the {name} are {describe(data.target)}.",
            "Data in memory has one tensor or array of labels, [samples, ...].",
            "Pass several batches as a list instead of a tuple, several labels for each sample as a DataLoader.",
        )
    shapes = [list(t.shape) for t in (*data.inputs, *([data.target] if data.labels else []))]
    inputs = ", ".join(map(str, shapes[: len(data.inputs)]))
    if any(not shape or shape[0] != shapes[0][0] for shape in shapes):
        labels = f" and labels of shape {shapes[-1]}" if data.labels else ""
        raise BatchError(
            f"The {name} has inputs of shape {inputs}{labels}.",
            "Inputs and labels have the same number of samples in their first dimension.",
            "Pass (inputs, labels) with one label for each input, and several batches as a list instead of a tuple.",
        )
    if shapes[0][0] == 0:
        raise EmptyDatasetError(
            f"The {name} has no samples: inputs of shape {inputs}.",
            "There is at least one sample.",
            "Check what was read before it is passed on.",
        )
    if sample_weight is not None:
        data = replace(data, weight=reader.sample_weight(sample_weight, data.target, f"The {name}"))
    return InMemory(data, batch_size, seed, reader.device)
