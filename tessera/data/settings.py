"""Checks what is asked of ``Loader`` before anything is read."""

from __future__ import annotations

import difflib

from tessera.data.dataset import Dataset
from tessera.data.share import Share, Stretches
from tessera.data.work import Work
from tessera.errors import EmptyDatasetError, SettingError

_CHOICES = {"worker_kind": ("auto", "process", "thread"), "on_error": ("stop", "skip")}


def check_settings(
    dataset: Dataset, *, shuffle: bool, seed: int, workers: int, drop_last: bool, ahead: int, **choices: str
) -> None:
    """Check each argument, and whether the dataset can be read in this way.

    Raises:
        SettingError: it cannot.
    """
    for name, value, least in (("seed", seed, 0), ("workers", workers, 0), ("ahead", ahead, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SettingError(
                f"{name}={value!r} was passed.",
                f"{name} is a whole number of at least {least}.",
                f"Write for example {name}={max(least, 2)}.",
            )
    for name, flag in (("shuffle", shuffle), ("drop_last", drop_last)):
        if not isinstance(flag, bool):
            raise SettingError(f"{name}={flag!r} was passed.", f"{name} is True or False.", f"Write {name}=True.")
    for name, choice in choices.items():
        if choice not in _CHOICES[name]:
            *others, last = map(repr, _CHOICES[name])
            raise SettingError(
                f"{name}={choice!r} was passed.",
                f"{name} is {', '.join(others)} or {last}.",
                f"Write {name}={difflib.get_close_matches(str(choice), _CHOICES[name], n=1, cutoff=0.0)[0]!r}.",
            )
    if not dataset.source.numbered:
        _check_iterable(shuffle=shuffle, workers=workers)
    if workers and choices["worker_kind"] == "thread":
        _check_threads(dataset)


def check_size(work: Work, share: Share, *, drop_last: bool) -> None:
    """Check that there are batches, and that every rank gets as much as the others.

    Raises:
        EmptyDatasetError: there is no sample, or not one whole batch.
        SettingError: the last batch cannot be divided among the ranks.
    """
    if work.dataset.source.numbered:
        size = len(work)
        if size == 0:
            raise EmptyDatasetError(
                "The dataset has no samples.",
                "There is at least one to make a batch of.",
                "Check the path or the selection it was made with.",
            )
        if work.dense and not len(Stretches(0, size, share.batch_size, drop_last)):
            raise EmptyDatasetError(
                f"{size:,} samples, batch_size={share.batch_size} and drop_last=True leave no batch.",
                "There is at least one whole batch.",
                "Take a smaller batch_size, or drop_last=False.",
            )
        if work.dense and size % share.batch_size % share.world_size == 0:
            return
    if share.world_size > 1 and not drop_last:
        raise SettingError(
            f"The last batch of an epoch may not divide among world_size={share.world_size} ranks.",
            "Every rank gets as many batches and samples as the others, or they would wait for each other for ever.",
            "Write drop_last=True.",
        )


def _check_iterable(*, shuffle: bool, workers: int) -> None:
    if shuffle or workers:
        raise SettingError(
            f"shuffle={shuffle} and workers={workers} were passed for data that can only be iterated over.",
            "Its samples have no numbers: they come in one order, from one place.",
            "Write Loader(data, batch_size, shuffle=False); or give the data __len__ and __getitem__.",
        )


def _check_threads(dataset: Dataset) -> None:
    for stage in dataset.every_stage():
        if stage.seeded:
            raise SettingError(
                f"worker_kind='thread' was passed, and {stage.name} may draw random numbers.",
                "All threads draw from the same global generators, so nobody could say which sample gets which number.",
                "Say random=False if it draws none, give it a parameter rng to draw from, or take processes.",
                stage.line,
            )
