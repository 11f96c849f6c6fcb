"""Data that yields batches one by one: a DataLoader, a list, a generator."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import length_hint
from typing import Any, Protocol, runtime_checkable

from torch.utils.data import DataLoader

from tessera.checkpoint.fingerprint import fingerprint
from tessera.checkpoint.random_state import RandomState
from tessera.checkpoint.stateful import Generators, load_state, state_of
from tessera.data.loader import Loader
from tessera.errors import BatchError, DataStateError, EmptyDatasetError
from tessera.train.batches import Batch, BatchReader, Stack, describe
from tessera.train.own_generators import own_generators
from tessera.train.pace import Pace

_log = logging.getLogger("tessera")


@runtime_checkable
class Stateful(Protocol):
    """Data that knows its own position, as a ``tessera.data.Loader`` does."""

    def state_dict(self) -> dict[str, Any]:
        """The position after the batch that was last returned."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go on from there."""


@dataclass
class Stream:
    """An iterable of batches.

    A position is saved as the data's own state where it has one (``state_dict`` and ``load_state_dict``). Other data
    is gone through again up to there, with the random numbers that its pass began with: the global ones, and those of
    the generators among its attributes.

    Attributes:
        data: iterated once for each epoch.
        reader: makes a batch of each item.
        name: what errors call it: ``"training data"``.
        epoch, offset: of the next batch, both from 0.
    """

    data: Iterable[object]
    reader: BatchReader
    name: str
    span: int = field(default=1, init=False)  # every epoch is a new pass over the data
    epoch: int = 0
    offset: int = 0
    _begun: dict[str, Any] | None = None  # the random numbers at the beginning of the running epoch
    _iterator: Iterator[object] | None = None  # of the running epoch

    @property
    def steps(self) -> int | None:
        """Steps in an epoch, where the data knows it."""
        try:
            return length_hint(self.data) or None
        except TypeError:  # data with a filter has the method and no answer
            return None

    @property
    def once(self) -> bool:
        """Whether the data is an iterator, which yields its batches a single time."""
        return isinstance(self.data, Iterator)

    def take(self, epochs: int, limit: int, pace: Pace) -> Iterator[Batch | Stack]:
        """The batches of the next ``epochs`` epochs, the running one among them, at most ``limit`` of them.

        The position is that after the batch handed out last. ``pace`` is for data in memory.
        """
        for _ in range(epochs):
            while limit:
                found = self._next()
                if found is None:
                    break
                limit -= 1
                yield found
            if not limit:
                return
            self.epoch, self.offset, self._iterator, self._begun = self.epoch + 1, 0, None, None

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass.

        Raises:
            BatchError: an item is no batch.
            EmptyDatasetError: there was no item.
        """
        number = 0
        for number, found in enumerate(self.data, 1):
            yield self.reader.read(found, f"Batch {number} of the {self.name}")
        if number == 0:
            raise self._empty()

    def state_dict(self) -> dict[str, Any]:
        """The position after the batch handed out last, and what the order of its epoch follows from."""
        state = {"epoch": self.epoch, "offset": self.offset, "random": self._begun or self._random_state()}
        return state | {"data": self.data.state_dict()} if isinstance(self.data, Stateful) else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()`` when the next batch is asked for.

        Raises:
            DataStateError: the position belongs to other data, where the data can tell.
        """
        if isinstance(self.data, Stateful):
            self.data.load_state_dict(state["data"])
        self.epoch, self.offset, self._begun, self._iterator = state["epoch"], state["offset"], state["random"], None
        generators = self._generators()
        for place, own in state["random"]["own"].items():
            if place in generators:
                load_state(generators[place], own)
        if state["epoch"] and isinstance(self.data, DataLoader) and self.data.persistent_workers:
            _log.warning(
                "The workers of the %s are persistent and had random numbers of their own, which nobody can save: "
                "samples that draw some in a worker differ from those of a run that was not interrupted. Write "
                "persistent_workers=False, or take a tessera.data.Loader.",
                self.name,
            )

    def fingerprint(self) -> dict[str, Any]:
        """What would differ if it were other data; see ``tessera.checkpoint``."""
        if isinstance(self.data, DataLoader):
            return {"dataset": fingerprint(self.data.dataset), "batches": self.steps}
        return {"data": fingerprint(self.data)}

    def _next(self) -> Batch | None:
        """The next batch of the running epoch; None at its end."""
        if self._iterator is None:
            self._iterator = self._open()
        for found in self._iterator:
            self.offset += 1
            return self.reader.read(found, f"Batch {self.offset} of the {self.name}")
        if self.offset == 0:
            raise self._empty()
        return None

    def _open(self) -> Iterator[object]:
        """The rest of the running epoch."""
        if isinstance(self.data, Loader):
            self._begun = self._begun or self._random_state()
            return self.data.rest()
        if not self.offset or isinstance(self.data, Stateful):
            self._begun = self._random_state()
            return iter(self.data)
        now = self._random_state()
        RandomState().load_state_dict((self._begun or now)["global"])
        iterator = iter(self.data)
        skipped = sum(1 for _ in itertools.islice(iterator, self.offset))
        RandomState().load_state_dict(now["global"])
        if skipped < self.offset:
            raise DataStateError(
                f"The {self.name} ended after {skipped:,} of the {self.offset:,} batches that were trained on before.",
                "A run goes on with the data that it was begun with.",
                "Pass the same data, or another folder as `checkpoint` to begin anew.",
            )
        return iterator

    def _random_state(self) -> dict[str, Any]:
        own = {place: state_of(generator) for place, generator in self._generators().items()}
        return {"global": RandomState().state_dict(), "own": own}

    def _generators(self) -> dict[str, Generators]:
        """Those that the data has for itself; what has a state answers for its own."""
        return {} if isinstance(self.data, Stateful) else own_generators(self.data)

    def _empty(self) -> EmptyDatasetError:
        return EmptyDatasetError(
            f"The {self.name} yielded no batch.",
            "There is at least one batch in every epoch.",
            "Check that the dataset is not empty, that `drop_last` does not drop its only batch, and that the "
            "iterable gives a new iterator each time it is asked.",
        )


def stream(found: object, reader: BatchReader, name: str) -> Stream:
    """The stream in ``found``, an iterable of batches.

    Raises:
        BatchError: it cannot be iterated.
    """
    if isinstance(found, Iterable) and not isinstance(found, (str, bytes)):
        return Stream(found, reader, name)
    raise BatchError(
        f"The {name} is {describe(found)}, which holds no batches.",
        "Data is (inputs, labels) in memory, a Dataset, a Loader, or any iterable of batches.",
        "Write for example fit(model, (x, y)) or fit(model, loader).",
    )
