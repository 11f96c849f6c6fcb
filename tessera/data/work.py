"""The work on a stretch of positions: read the samples, apply the stages, make a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from tessera.data.callables import line_of, line_of_error, name_of
from tessera.data.collation import joined
from tessera.data.dataset import Dataset
from tessera.data.order import Lookup
from tessera.data.permutation import Indices
from tessera.data.progress_board import COLLATING, READING, WAITING, ProgressBoard
from tessera.data.randomness import globals_kept, moved, seed_globals
from tessera.data.source import Empty
from tessera.data.stages import Filter, Read, Stage
from tessera.data.timings import Timings
from tessera.errors import DataError, SettingError, TesseraError

_END = object()
COLLATE_KEY = 1 << 20  # stands where a stage's number does in the key of a random number


class Task(NamedTuple):
    """Positions ``start`` to ``stop`` of ``epoch``."""

    epoch: int
    start: int
    stop: int


@dataclass
class Result:
    """What became of a task.

    Attributes:
        value: a batch; or what the samples became that stayed, where some do not: a pair of their positions and a list
            of them; or, packed, positions, tokens and lengths.
        skipped: what is known of each sample that could not be made.
        timings: what it cost.
    """

    value: Any
    skipped: list[str] = field(default_factory=list)
    timings: Timings = field(default_factory=Timings)


@dataclass
class Work:
    """How to make samples of positions.

    Attributes:
        dataset: the source and its stages.
        key: of the shuffle; None for the source's own order.
        seed: what all random numbers follow from.
        collate: makes a batch of a list of samples; None is torch's.
        skip_errors: leave out samples that cannot be made, instead of stopping.
        seeding: the global generators may be set: nobody else is using them at the same time.
        collating: samples become a batch here; else they are returned as they are where no sample is left out.
    """

    dataset: Dataset
    key: tuple[int, ...] | None
    seed: int
    collate: Callable[..., Any] | None = None
    skip_errors: bool = False
    seeding: bool = True
    collating: bool = True

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.dataset.source.order(self.key))

    @cached_property
    def dense(self) -> bool:
        """Whether every position becomes a sample, so that a stretch of positions is a batch."""
        return self.dataset.dense and self.dataset.source.numbered and not self.skip_errors

    @cached_property
    def columnar(self) -> bool:
        """Whether a batch is cut from columns as a whole: no Python runs for each sample."""
        plain = self.dense and not self.dataset.every_stage() and self.collate is None
        return plain and self.dataset.source.columnar

    def __len__(self) -> int:
        return len(self._lookup.order)

    def run(self, task: Task, board: ProgressBoard, empty: Empty = np.empty) -> Result:
        """Do it; a batch is made in memory from ``empty`` as far as that saves a copy.

        Raises:
            DataError: a sample could not be made; it names the sample, its file and row, and the user's line.
        """
        result = Result(None)
        started = perf_counter()
        indices = self._lookup.indices(*task)
        result.timings.add("order", perf_counter() - started, len(indices))
        if self.columnar:
            result.value = self._columns(task, indices, board, result, empty)
        else:
            positions, samples = self._made(task, self._read(task, indices, board, result), board, result)
            board.at(task.start, 0, COLLATING)
            if self.dense and self.collating:
                result.value = self.batch(samples, task, result.timings, seeding=self.seeding, empty=empty)
            else:
                result.value = self._sifted(positions, samples, result.timings)
        board.stage(WAITING)
        return result

    def stream(self, epoch: int, start: int, board: ProgressBoard) -> Iterator[Result]:
        """One result for each sample from position ``start`` on, of a source that has no numbers but an order.

        Raises:
            DataError: as ``run``.
        """
        samples = self._iterated(epoch)
        position = 0
        while True:
            result = Result(None)
            with result.timings.timed("read", 1):
                sample = next(samples, _END)
            if sample is _END:
                return
            if position >= start:
                positions, made = self._made(Task(epoch, position, position + 1), iter([(0, sample)]), board, result)
                result.value = self._sifted(positions, made, result.timings)
                yield result
            position += 1

    def _iterated(self, epoch: int) -> Iterator[Any]:
        read = 0
        try:
            for sample in self.dataset.source.iterate(epoch):
                yield sample
                read += 1
        except TesseraError:
            raise
        except Exception as error:
            raise DataError(
                f"Reading sample {read:,} of epoch {epoch} failed: {_words(error)}.",
                "The data yields its samples to the end.",
                "Correct it at the line below; what can only be iterated over cannot go on after that.",
                line_of_error(error),
            ) from error

    def batch(self, samples: list[Any], task: Task, timings: Timings, *, seeding: bool, empty: Empty = np.empty) -> Any:
        """One batch of ``samples``; ``task`` says where they begin, ``seeding`` whether generators may be set.

        Raises:
            BatchError, DataError: they do not fit together, or the user's collate fails.
        """
        with timings.timed("collate", len(samples)):
            if self.collate is None:
                return joined(samples, empty)
            return self._collated(self.collate, samples, task, seeding=seeding)

    def _columns(self, task: Task, indices: Indices, board: ProgressBoard, result: Result, empty: Empty) -> Any:
        board.at(task.start, int(indices[0]), READING)
        with result.timings.timed("read", len(indices)):
            return self.dataset.source.batch(indices, empty)

    def _made(
        self, task: Task, samples: Iterator[tuple[int, Any]], board: ProgressBoard, result: Result
    ) -> tuple[list[int], list[Any]]:
        """What the stages make of ``samples`` (place in the task, sample), and at which positions."""
        kept: tuple[list[int], list[Any]] = [], []
        stages = self.dataset.every_stage()
        seeded = self.seeding and any(stage.seeded for stage in stages)
        with ExitStack() as stack:
            before = stack.enter_context(globals_kept()) if stages and self.seeding else None
            for place, sample in samples:
                position = task.start + place
                if seeded:
                    seed_globals(self.seed, task.epoch, position)
                try:
                    stays, made = self._staged(sample, task, place, board, result.timings)
                except TesseraError as error:
                    self._skip(error, result)
                    continue
                if stays:
                    kept[0].append(position)
                    kept[1].append(made)
            if before is not None and not seeded and (whose := moved(before)):
                raise self._drew(whose)
        return kept

    def _read(self, task: Task, indices: Indices, board: ProgressBoard, result: Result) -> Iterator[tuple[int, Any]]:
        board.at(task.start, int(indices[0]), READING)
        source = self.dataset.source
        try:
            with result.timings.timed("read", len(indices)):
                found = source.samples(indices)
        except TesseraError:
            if not self.skip_errors:
                raise
            found = None
        if found is not None:
            yield from enumerate(found)
            return
        for place in range(len(indices)):  # one of them cannot be read: find out which
            try:
                (sample,) = source.samples(indices[place : place + 1])
            except TesseraError as error:
                self._skip(error, result)
            else:
                yield place, sample

    def _staged(self, sample: Any, task: Task, place: int, board: ProgressBoard, timings: Timings) -> tuple[bool, Any]:
        position = task.start + place
        index = self._index(task.epoch, position)
        stages = (*self.dataset.source.stages_of(index), *self.dataset.stages)
        board.at(position, index, 0)
        for number, stage in enumerate(stages):
            board.stage(number)
            started = perf_counter()
            try:
                answer = stage(sample, self.seed, task.epoch, position, number)
                if isinstance(stage, Filter):
                    answer = bool(answer)
            except TesseraError:
                raise
            except Exception as error:
                raise self._failed(stage, error, task.epoch, position, index) from error
            timings.add(stage.name, perf_counter() - started, 1)
            if not isinstance(stage, Filter):
                sample = answer
            elif not answer:
                return False, None
        return True, sample

    def _index(self, epoch: int, position: int) -> int:
        if self.dataset.source.numbered:
            return int(self._lookup.indices(epoch, position, position + 1)[0])
        return position

    def _sifted(self, positions: list[int], samples: list[Any], timings: Timings) -> Any:
        if self.dataset.packing is None:
            return positions, samples
        with timings.timed("pack", len(samples)):
            tokens, lengths = self.dataset.packing.flat(samples, [f"The document at position {p:,}" for p in positions])
        return np.array(positions, np.int64), tokens, lengths

    def _collated(self, collate: Callable[..., Any], samples: list[Any], task: Task, *, seeding: bool) -> Any:
        stage = Stage(collate)
        try:
            with ExitStack() as stack:
                if stage.seeded and seeding:
                    stack.enter_context(globals_kept())
                    seed_globals(self.seed, task.epoch, task.start, COLLATE_KEY)
                return stage(samples, self.seed, task.epoch, task.start, COLLATE_KEY)
        except TesseraError:
            raise
        except Exception as error:
            raise DataError(
                f"collate {name_of(collate)} failed on the {len(samples)} samples from position {task.start:,} of "
                f"epoch {task.epoch}: {_words(error)}.",
                "It makes a batch of a list of samples.",
                "Correct the function at the line below.",
                line_of_error(error) or line_of(collate),
            ) from error

    def _failed(self, stage: Stage, error: Exception, epoch: int, position: int, index: int) -> DataError:
        where = f"{self.dataset.source.name(index)} (position {position:,} of epoch {epoch})"
        if isinstance(stage, Read):
            received, expected = f"Reading {where} failed: {_words(error)}.", "Every sample can be read."
        else:
            received = f"{stage.name} failed on {where}: {_words(error)}."
            expected = "It takes every sample."
        fix = "Correct it at the line below, or write Loader(..., on_error='skip') to leave such samples out."
        return DataError(received, expected, fix, line_of_error(error) or stage.line)

    def _skip(self, error: TesseraError, result: Result) -> None:
        # A setting that is wrong is wrong for every sample.
        if not self.skip_errors or isinstance(error, SettingError):
            raise error
        result.skipped.append(error.received)

    def _drew(self, whose: str) -> SettingError:
        names = ", ".join(stage.name for stage in self.dataset.every_stage())
        return SettingError(
            f"{names}: {whose} global random numbers were drawn from, by a function that was said not to.",
            "A function with random=False or a parameter rng leaves the global generators alone: they are not seeded "
            "for it, and its samples would depend on the workers.",
            "Leave random=False out, or draw from the parameter rng, a numpy.random.Generator.",
        )


def _words(error: BaseException) -> str:
    text = str(error).strip().removesuffix(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
