"""Data that sits in memory: shuffled, cut into batches and stacked, so that many steps are one program call."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

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
        generator: draws the order of every epoch; None keeps the order of the data.
        device: where the batches go.
    """

    data: Batch
    batch_size: int
    generator: torch.Generator | None
    device: torch.device
    once: bool = field(default=False, init=False)
    _drawn: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._drawn = torch.empty(0, self.samples, dtype=torch.int64)

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
        """The batches of the next ``epochs`` epochs, at most ``limit`` of them, in stacks of ``pace.steps``."""
        order = self._order(epochs).to(self._tensors[0].device)
        whole = self.samples // self.batch_size * self.batch_size
        runs = [(e * self.samples, whole) for e in range(epochs)] if whole < self.samples else [(0, order.numel())]
        for start, length in runs:
            for taken, steps in self._cut(length // self.batch_size, limit, pace):
                first = start + taken * self.batch_size
                yield self._gather(order[first : first + steps * self.batch_size], steps)
                limit -= steps
            if whole < self.samples and limit:
                yield self._gather(order[start + whole : start + self.samples], 1)
                limit -= 1

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass in the order of the data."""
        for first in range(0, self.samples, self.batch_size):
            rows = slice(first, first + self.batch_size)
            yield self._batch([t[rows].to(self.device) for t in self._tensors])

    def _cut(self, steps: int, limit: int, pace: Pace) -> Iterator[tuple[int, int]]:
        """Pairs (steps before, steps in the next stack)."""
        taken, most = 0, max(1, _LARGEST_STACK // max(1, self._batch_bytes))
        while taken < min(steps, limit):
            now = min(pace.steps, most, steps - taken, limit - taken)
            yield taken, now
            taken += now

    @property
    def _tensors(self) -> tuple[torch.Tensor, ...]:
        return (*self.data.inputs, *self.data.labels)

    @property
    def _batch_bytes(self) -> int:
        return sum(t.element_size() * t[0].numel() for t in self._tensors) * self.batch_size

    def _gather(self, rows: torch.Tensor, steps: int) -> Batch | Stack:
        tensors = [t.index_select(0, rows).to(self.device) for t in self._tensors]
        if steps == 1:
            return self._batch(tensors)
        size = rows.numel() // steps
        one = self._batch([t.unflatten(0, (steps, size)) for t in tensors])
        return Stack(one.inputs, one.target, steps, size, one.names)

    def _batch(self, tensors: list[torch.Tensor]) -> Batch:
        inputs = len(self.data.inputs)
        return Batch(tuple(tensors[:inputs]), tensors[inputs] if self.data.labels else None, self.data.names)

    def _order(self, epochs: int) -> torch.Tensor:
        """The sample numbers of the next epochs, one epoch behind the other: ``[epochs * samples]``."""
        if self.generator is None:
            return torch.arange(self.samples).repeat(epochs)
        # Orders are drawn in blocks of one size, so that they do not depend on how many epochs are asked for at a time.
        blocks = [self._drawn]
        while sum(map(len, blocks)) < epochs:
            blocks.append(self._draw(self.generator))
        drawn = torch.cat(blocks)
        self._drawn = drawn[epochs:]
        return drawn[:epochs].flatten()

    def _draw(self, generator: torch.Generator) -> torch.Tensor:
        block = MOST_STEPS // self.samples
        if block <= 1:
            return torch.randperm(self.samples, generator=generator).unsqueeze(0)
        return torch.rand(block, self.samples, generator=generator, dtype=torch.float64).argsort(1)


def in_memory(
    found: object, reader: BatchReader, name: str, batch_size: int, generator: torch.Generator | None
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
    shapes = [list(t.shape) for t in (*data.inputs, *data.labels)]
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
            "Training needs at least one sample.",
            "Check what was read before it is passed to `fit`.",
        )
    return InMemory(data, batch_size, generator, reader.device)
