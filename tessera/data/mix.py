"""Several datasets as one, in given proportions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from tessera.data.dataset import Dataset
from tessera.data.order import Order
from tessera.data.permutation import Indices, Permutation
from tessera.data.permutation import mix as mix_words
from tessera.data.resolve import dataset
from tessera.data.source import Samples, Source
from tessera.data.stages import Stage
from tessera.errors import EmptyDatasetError, SettingError

_FINEST = 10_000  # shares are rounded to this part of the whole

Stop = Literal["first_exhausted", "all_exhausted"]


def mix(
    datasets: Sequence[object], weights: Sequence[float] | None = None, *, stop: Stop = "first_exhausted"
) -> Dataset:
    """Samples of ``datasets`` in the proportions ``weights``, in every stretch of an epoch.

    Shares are rounded to ten thousandths of the whole. Each dataset goes on where the epoch before left it, in an order
    of its own: of a large one every epoch brings other samples, a small one begins again, newly shuffled.

    So a loader goes through it. By number, as ``mixed[k]``, it is the datasets one behind the other.

    Args:
        datasets: each as ``Loader`` takes it, with maps but without filter and pack, which go after the mix.
        weights: one positive number for each; equal ones by default.
        stop: an epoch is over when the first dataset that is used up would be asked again, or when the last one would.

    Raises:
        SettingError: a weight is no positive number, there are not as many as datasets, or one of them has a filter.
        EmptyDatasetError: one of them has no samples.
    """
    found = [dataset(one) for one in datasets]
    try:
        shares = [1.0] * len(found) if weights is None else list(map(float, weights))
    except (TypeError, ValueError):
        shares = []
    if len(shares) != len(found) or not found or not all(0 < share < float("inf") for share in shares):
        raise SettingError(
            f"{len(found)} datasets and weights={weights!r} were passed.",
            "There is at least one dataset, and one positive weight for each.",
            "Write for example mix([code, prose], weights=[0.3, 0.7]).",
        )
    if min(shares) * 2 * _FINEST < sum(shares):
        raise SettingError(
            f"{min(shares):g} of {sum(shares):g} was passed as a weight.",
            f"A share is at least one half of 1/{_FINEST:,} of the whole.",
            "Give that dataset a larger weight, or leave it out.",
        )
    if stop not in ("first_exhausted", "all_exhausted"):
        raise SettingError(
            f"stop={stop!r} was passed.",
            "An epoch ends at 'first_exhausted' or at 'all_exhausted'.",
            "Write stop='all_exhausted' to see all samples of all datasets in every epoch.",
        )
    for number, one in enumerate(found):
        if not one.dense:
            raise SettingError(
                f"Dataset {number} of the mix has a filter or is packed.",
                "A mix takes its samples by number, and how many a filter lets through is only known at the end.",
                "Filter and pack what mix() returns; or choose the samples beforehand with dataset.select(numbers).",
            )
        if not len(one):
            raise EmptyDatasetError(
                f"Dataset {number} of the mix has no samples.", "Each has at least one.", "Leave it out of the mix."
            )
    return Dataset(Mixture(found, shares, stop))


class Mixture(Source):
    """Datasets side by side: index ``i`` of dataset ``d`` is ``starts[d] + i``."""

    def __init__(self, datasets: Sequence[Dataset], weights: Sequence[float], stop: Stop) -> None:
        self.datasets, self.stop = list(datasets), stop
        self.sizes = [len(one) for one in datasets]
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self.parts = _whole_parts(weights)

    def __len__(self) -> int:
        return sum(self.sizes)

    def order(self, key: tuple[int, ...] | None) -> Order:
        children = [
            one.source.order(None if key is None else (*key, number)) for number, one in enumerate(self.datasets)
        ]
        return MixedOrder(children, self.starts, self.parts, self.stop, key)

    def samples(self, indices: Indices) -> Samples:
        which = self._which(indices)
        found: Samples = [None] * len(indices)
        for number in np.unique(which):
            places = np.flatnonzero(which == number)
            for place, sample in zip(
                places, self.datasets[number].source.samples(indices[places] - self.starts[number]), strict=True
            ):
                found[place] = sample
        return found

    def stages_of(self, index: int) -> tuple[Stage, ...]:
        number = self._number(index)
        one = self.datasets[number]
        return (*one.source.stages_of(index - int(self.starts[number])), *one.stages)

    def every_stage(self) -> tuple[Stage, ...]:
        return tuple(stage for one in self.datasets for stage in (*one.source.every_stage(), *one.stages))

    def name(self, index: int) -> str:
        number = self._number(index)
        return f"dataset {number} of the mix, {self.datasets[number].source.name(index - int(self.starts[number]))}"

    def describe(self) -> dict[str, Any]:
        described = [one.describe() for one in self.datasets]
        return {"kind": "mix", "parts": self.parts, "stop": self.stop, "datasets": described}

    def _which(self, indices: Indices) -> Indices:
        return np.searchsorted(self.starts, indices, side="right") - 1

    def _number(self, index: int) -> int:
        return int(np.searchsorted(self.starts, index, side="right")) - 1


class MixedOrder:
    """A cycle says whose turn it is; every dataset counts its own turns through all epochs.

    Args:
        children: the order of each dataset.
        starts: where the indices of each begin.
        parts: turns of each in one cycle.
        stop: see ``mix``.
        key: of the shuffle; None keeps the cycle as it is.
    """

    def __init__(
        self, children: Sequence[Order], starts: Indices, parts: Sequence[int], stop: Stop, key: tuple[int, ...] | None
    ) -> None:
        self._children, self._starts, self._key = children, starts, key
        self._cycle = _even_cycle(parts)
        self._turn = np.zeros(len(self._cycle), np.int64)  # how many turns of the same dataset came before in the cycle
        for number in range(len(parts)):
            mine = self._cycle == number
            self._turn[mine] = np.arange(parts[number])
        self._parts = np.asarray(parts)
        last = min if stop == "first_exhausted" else max
        self._size = last(self._slots_until(number, len(child)) for number, child in enumerate(children))

    def __len__(self) -> int:
        return self._size

    def indices(self, epoch: int, positions: Indices) -> Indices:
        slots = positions
        if self._key is not None:
            slots = Permutation(self._size, *self._key, mix_words(epoch), 1)(positions)
        rounds, inside = np.divmod(slots, len(self._cycle))
        which = self._cycle[inside]
        turns = rounds * self._parts[which] + self._turn[inside]
        found = np.empty(len(positions), np.int64)
        for number in np.unique(which):
            mine = which == number
            counted = epoch * self._turns_in_epoch(number) + turns[mine]
            found[mine] = self._starts[number] + self._walk(self._children[number], counted)
        return found

    def _walk(self, child: Order, counted: Indices) -> Indices:
        epochs, positions = np.divmod(counted, len(child))
        found = np.empty(len(counted), np.int64)
        for epoch in np.unique(epochs):
            mine = epochs == epoch
            found[mine] = child.indices(int(epoch), positions[mine])
        return found

    def _turns_in_epoch(self, number: int) -> int:
        rounds, rest = divmod(self._size, len(self._cycle))
        return rounds * int(self._parts[number]) + int((self._cycle[:rest] == number).sum())

    def _slots_until(self, number: int, size: int) -> int:
        """How far the cycle goes until this dataset has had ``size`` turns and would be asked for one more."""
        rounds, rest = divmod(size, int(self._parts[number]))
        places = np.flatnonzero(self._cycle == number)
        return rounds * len(self._cycle) + int(places[rest])


def _whole_parts(weights: Sequence[float]) -> list[int]:
    """``weights`` as the smallest whole numbers in the same proportions, to one part in ``_FINEST``."""
    total = sum(map(Fraction, weights))
    rounded = [max(1, round(Fraction(weight) / total * _FINEST)) for weight in weights]
    divisor = int(np.gcd.reduce(rounded))
    return [part // divisor for part in rounded]


def _even_cycle(parts: Sequence[int]) -> Indices:
    """Whose turn it is, each as evenly spread as it can be: turn ``i`` of ``n`` stands at ``(i + 1/2) / n``."""
    places = [((turn + 0.5) / part, number) for number, part in enumerate(parts) for turn in range(part)]
    return np.array([number for _, number in sorted(places)], np.int64)
