"""``Loader``: batches in an order that follows from the seed alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from time import perf_counter
from types import TracebackType
from typing import Any, Literal, Self

from tessera.data.assembly import Assembly, Placed, one_by_one
from tessera.data.cursor import Cursor
from tessera.data.overlapping import Overlapping
from tessera.data.processes import Processes
from tessera.data.progress_board import ProgressBoard
from tessera.data.resolve import dataset
from tessera.data.saved_state import read, state
from tessera.data.settings import check_settings, check_size
from tessera.data.share import Share, Stretches
from tessera.data.threads import Inline, Threads
from tessera.data.timings import Timings
from tessera.data.work import Result, Task, Work
from tessera.errors import DataError, DataStateError, EmptyDatasetError

WAIT, CONSUMER = "wait", "your step"

_log = logging.getLogger("tessera.data")
_CHUNK = 256  # positions that a task looks at where not all of them stay
_REMEMBERED = 1000


class Loader:
    """Batches of a dataset, epoch by epoch, in an order that follows from ``seed`` and the epoch alone.

    ``for batch in loader`` is one epoch; the next loop is the next one, also after a ``break``. The order is the same
    for any number of workers, of either kind; the batches of ``world_size`` ranks side by side are those of a
    single process. After ``load_state_dict`` the next loop goes on with the very next batch, whatever the numbers
    of workers and ranks were before. Skipping costs nothing: position ``k`` of an epoch is computed, not counted to.

    Where a filter, packing or ``on_error="skip"`` decides how many samples there are, all of this still holds, and a
    position is that of the next sample in the unfiltered order; but ``len`` is not known, and every rank looks at the
    samples of all ranks to know which are its own. An iterable without numbers is read again up to the position.

    Args:
        source: a ``tessera.data.Dataset``; arrays or tensors in a tuple or dict; a ``torch.utils.data`` Dataset; a
            Hugging Face dataset; a list of samples; or an iterable of samples, with ``shuffle=False`` and no workers.
        batch_size: samples in a batch, of all ranks together.
        shuffle: a new order in every epoch.
        seed: of the order and of random functions.
        workers: how many processes or threads make batches ahead of time; with 0 a batch is made when it is asked for.
            With processes the program's own code stands under ``if __name__ == "__main__":``.
        drop_last: leave out a last, smaller batch.
        collate: ``(list of samples) -> batch``; torch's ``default_collate`` by default. With a parameter ``rng`` it
            gets a generator of its own, as maps do; its numbers depend on the number of ranks, though.
        rank, world_size: this process and how many there are.
        worker_kind: ``"process"``; or ``"thread"``, which needs functions that draw no random numbers or take ``rng``;
            or ``"auto"``: processes where Python runs for each sample. Where whole batches are cut from columns
            (arrays, token files, Parquet, Arrow, Hugging Face; no function of yours), sending a batch from a process
            costs more than making it. There it is made in this one: by threads, ahead of time, once batches are seen to
            take long enough for that to pay; till then when it is asked for. ``inspect`` says which it is.
        ahead: batches that each worker makes ahead of time.
        on_error: ``"stop"`` at a sample that cannot be made, or ``"skip"`` it: it is logged and listed in ``skipped``.

    Attributes:
        epoch: of the batch that was last returned, from 0; once a loop is over, of the next one.
        workers, worker_kind: how many and of which kind, ``"process"`` or ``"thread"``.
        skipped: what is known of the samples left out, at most the last thousand.
        timings: what every stage cost since the loader was made; see ``inspect``.

    Raises:
        SettingError: an argument makes no sense.
        BatchError, EmptyDatasetError: ``source`` is no data, or there is no batch in it.
        EmptyDatasetError: while iterating: no sample was left.
        DataError: while iterating: a sample could not be made; it names the sample, the file and the line.
        WorkerError: while iterating: a worker died. The other workers have ended then.
    """

    def __init__(
        self,
        source: object,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        workers: int = 0,
        drop_last: bool = False,
        collate: Callable[..., Any] | None = None,
        rank: int = 0,
        world_size: int = 1,
        worker_kind: Literal["auto", "process", "thread"] = "auto",
        ahead: int = 2,
        on_error: Literal["stop", "skip"] = "stop",
    ) -> None:
        self._dataset = dataset(source)
        self._share = Share(batch_size, rank, world_size)
        self._drop_last = drop_last
        check_settings(
            self._dataset, shuffle=shuffle, seed=seed, workers=workers, drop_last=drop_last, worker_kind=worker_kind,
            ahead=ahead, on_error=on_error,
        )  # fmt: skip
        threads = workers > 0 and worker_kind == "thread"
        self._work = Work(
            self._dataset,
            key=(seed,) if shuffle else None,
            seed=seed,
            collate=collate,
            skip_errors=on_error == "skip",
            # In threads nobody may set generators that others draw from at the same time.
            seeding=not threads,
            collating=collate is None or not threads,
        )
        check_size(self._work, self._share, drop_last=drop_last)
        self._identity = {"seed": seed, "shuffle": shuffle, "data": self._dataset.describe()}
        self.workers = workers
        self._pool = _pool(self._work, workers, ahead, worker_kind)
        self.worker_kind = "process" if isinstance(self._pool, Processes) else "thread"
        self.epoch = 0
        self.skipped: list[str] = []
        self.timings = Timings()
        self._cursor = Cursor()
        self._begun = False  # an epoch that was begun is not gone on with, unless it was loaded
        self._serial = 0  # of the loop that may go on

    @property
    def dataset(self) -> Any:
        """What the batches are made of."""
        return self._dataset

    @property
    def makers(self) -> str:
        """Who makes the batches, in words."""
        return str(self._pool)

    def __len__(self) -> int:
        """Batches in an epoch.

        Raises:
            TypeError: that is not known, since a filter, packing or skipping decides.
        """
        if not self._work.dense:
            raise TypeError("how many batches an epoch has is only known at its end")
        return len(Stretches(0, len(self._work), self._share.batch_size, self._drop_last))

    def __iter__(self) -> Iterator[Any]:
        """The rest of a loaded epoch, or the next epoch. A loop from before cannot go on."""
        self._serial += 1
        return self._epoch(self._serial)

    def rest(self) -> Iterator[Any]:
        """The rest of a loaded epoch, even if nothing is left of it; or the next epoch."""
        self._serial += 1
        return self._epoch(self._serial, onwards=False)

    def state_dict(self) -> dict[str, Any]:
        """The position after the batch that was last returned: plain numbers and strings, fit for JSON."""
        return state(self.epoch, self._cursor, self._identity)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from ``saved`` at the next loop.

        Raises:
            DataStateError: it belongs to other data, another seed or another order; it says what differs.
        """
        epoch, cursor = read(saved, self._identity)
        if self._dataset.source.numbered and cursor.position > len(self._work):
            raise DataStateError(
                f"The saved position is {cursor.position:,}.",
                f"An epoch of this data has {len(self._work):,} positions.",
                "Pass loader.state_dict() as it was saved; this one is damaged.",
            )
        self._serial += 1
        self.epoch, self._cursor, self._begun = epoch, cursor, False

    def seek(self, epoch: int, position: int = 0) -> None:
        """Go on from sample ``position`` of ``epoch`` at the next loop; how far that is costs nothing."""
        self.load_state_dict(state(epoch, Cursor(position), self._identity))

    def rehearse(self, batches: int) -> None:
        """Make so many batches for the ``timings`` alone: the next loop is the one that it would have been."""
        kept = self.epoch, self._cursor, self._begun
        for _ in islice(self, batches):
            pass
        self._serial += 1
        self.epoch, self._cursor, self._begun = kept

    def close(self) -> None:
        """End the workers; the next loop starts new ones."""
        self._serial += 1
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _epoch(self, serial: int, *, onwards: bool = True) -> Iterator[Any]:
        self._check_current(serial)
        if self._begun:
            self.epoch, self._cursor = self.epoch + 1, Cursor()
        self._begun, resumed = True, self._cursor != Cursor()
        batches = self._batches()
        found = self._waited(batches)
        if found is None and resumed:  # it was saved after the last batch
            self.epoch, self._cursor = self.epoch + 1, Cursor()
            if not onwards:
                self._begun = False
                return
            batches = self._batches()
            found = self._waited(batches)
        if found is None:
            raise EmptyDatasetError(
                f"Epoch {self.epoch} gave no batch.",
                "There is at least one, of the samples that pass the filters and can be read.",
                "Look at what the filters let through, at `loader.skipped`, or whether drop_last dropped it all.",
            )
        while found is not None:
            batch, self._cursor = found
            given = perf_counter()
            yield batch
            self.timings.add(CONSUMER, perf_counter() - given, self._share.size)
            self._check_current(serial)
            found = self._waited(batches)
        self.epoch, self._cursor, self._begun = self.epoch + 1, Cursor(), False

    def _waited(self, batches: Iterator[Placed]) -> Placed | None:
        asked = perf_counter()
        found = next(batches, None)
        self.timings.add(WAIT, perf_counter() - asked, 0 if found is None else self._share.size)
        return found

    def _check_current(self, serial: int) -> None:
        if serial != self._serial:
            raise DataError(
                "Another loop over the same loader has begun, or a position was loaded.",
                "A loader has one position, and so one loop at a time.",
                "Make a second Loader to go through the same data twice at once.",
            )

    def _batches(self) -> Iterator[Placed]:
        """This rank's batches from the cursor to the end of the epoch, each with where the next one begins."""
        return self._dense() if self._work.dense else self._sifted()

    def _dense(self) -> Iterator[Placed]:
        stretches = self._stretches(self._share.batch_size, whole=self._drop_last)
        tasks = partial(map, self._task, stretches)
        for result, (start, stop) in zip(self._results(tasks), stretches, strict=True):
            if not self._work.collating:
                task = self._task((start, stop))
                result.value = self._work.batch(result.value[1], task, self.timings, seeding=True)
            yield result.value, Cursor(stop)

    def _sifted(self) -> Iterator[Placed]:
        values = (result.value for result in self._chunks())
        packing = self._dataset.packing
        samples = one_by_one(values) if packing is None else packing.rows(values, self._cursor)
        before = self._cursor
        for taken, after in Assembly(self._share, self._drop_last).batches(samples):
            task = Task(self.epoch, before.position, after.position)
            yield self._work.batch(taken, task, self.timings, seeding=True), after
            before = after

    def _chunks(self) -> Iterator[Result]:
        if not self._dataset.source.numbered:
            return map(self._noted, self._work.stream(self.epoch, self._cursor.position, ProgressBoard()))
        stretches = self._stretches(_CHUNK, whole=False)
        return self._results(lambda: (Task(self.epoch, *stretch) for stretch in stretches))

    def _stretches(self, size: int, *, whole: bool) -> Stretches:
        return Stretches(self._cursor.position, len(self._work), size, whole)

    def _task(self, stretch: tuple[int, int]) -> Task:
        return Task(self.epoch, *self._share.part(*stretch))

    def _results(self, tasks: Callable[[], Iterator[Task]]) -> Iterator[Result]:
        return map(self._noted, self._pool.run(tasks))

    def _noted(self, result: Result) -> Result:
        self.timings.merge(result.timings)
        if result.skipped:
            for words in dict.fromkeys(result.skipped):  # all rows of a group that cannot be read say the same
                if words not in self.skipped:
                    _log.warning("left out: %s", words)
            self.skipped = (self.skipped + result.skipped)[-_REMEMBERED:]
        return result


def _pool(work: Work, workers: int, ahead: int, kind: str) -> Inline | Threads | Overlapping | Processes:
    if workers == 0:
        return Inline(work)
    if kind == "thread":
        return Threads(work, workers, ahead)
    if kind == "auto" and work.columnar:
        return Overlapping(work, workers, ahead)
    return Processes(work, workers, ahead)
