"""Reading a training set: `tessera.data.Loader` beside the bare read of the same files, and beside torch's DataLoader.

The files lie in the page cache. An epoch is gone through from its first batch to its last; the answer is a checksum.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from benchmarks.measure import Make, NotMeasured, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, compared
from tessera.data import Loader, parquet, tokens

RAW, TORCH = "bare read", "torch DataLoader, {}"
LEAST_OF_RAW, WORKERS = 1 / 1.1, (0, 2)  # "within 10% of the raw read rate"

Window = tuple[torch.Tensor, torch.Tensor]
"""Tokens and targets."""


@dataclass(frozen=True)
class Size:
    """How much data, and in what pieces."""

    tokens: int = 32_000_000
    length: int = 1024
    rows: int = 200_000
    width: int = 128
    group: int = 8192
    batch: int = 64
    row_batch: int = 256


def measure(plan: Plan, size: Size | None = None) -> Part:
    """The time of an epoch of token windows, and of one of Parquet rows."""
    size = size or Size()
    part = Part()
    with tempfile.TemporaryDirectory() as folder:
        token_file = write_tokens(Path(folder), size)
        for workers in WORKERS:
            ways: dict[str, Make] = {
                OURS: partial(by_loader, partial(tokens, token_file, size.length), size.batch, workers),
                RAW: partial(bare_tokens, token_file, size),
                TORCH.format(f"{workers} workers"): partial(
                    by_torch, Windows(token_file, size.length), size.batch, workers
                ),
            }
            part += rows_of(plan, f"{size.tokens:,} mapped tokens in windows of {size.length}, {workers} workers", ways)
        ways = {
            OURS: partial(by_loader, lambda: tokens(token_file, size.length).map(masked, random=False), size.batch, 2),
            TORCH.format("2 workers"): partial(by_torch, Windows(token_file, size.length, masked), size.batch, 2),
        }
        part += rows_of(plan, f"{size.tokens:,} mapped tokens, a function on each window, 2 workers", ways)
        rows_file = write_rows(Path(folder), size)
        for workers in WORKERS:
            ways = {
                OURS: partial(by_loader, partial(parquet, rows_file), size.row_batch, workers),
                RAW: partial(bare_rows, rows_file, size),
                TORCH.format(f"{workers} workers"): partial(by_torch, Rows(rows_file), size.row_batch, workers),
            }
            part += rows_of(plan, f"{size.rows:,} Parquet rows of {size.width} numbers, {workers} workers", ways)
    return part


def rows_of(plan: Plan, work: str, ways: dict[str, Make]) -> Part:
    """A row for the bare read, and one for torch."""
    outcomes = in_turns(ways, plan, rounds=7)
    ours = outcomes[OURS]
    peers = [name for name in ways if name != OURS]
    return Part(
        [
            compared(work, name, ours, outcomes[name], least=round(LEAST_OF_RAW, 3) if name == RAW else 1.0)
            for name in peers
        ]
    )


def write_tokens(folder: Path, size: Size) -> Path:
    """A file of random tokens, uint16."""
    path = folder / "tokens.bin"
    np.random.default_rng(0).integers(0, 50_000, size.tokens, dtype=np.uint16).tofile(path)
    return path


def write_rows(folder: Path, size: Size) -> Path:
    """A Parquet file of rows: ``x``, float32 ``[width]``, and ``label``, int64."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise NotMeasured("pyarrow is not installed") from error
    path = folder / "rows.parquet"
    rng = np.random.default_rng(1)
    x = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(size.rows * size.width, dtype=np.float32)), size.width)
    table = pa.table({"x": x, "label": rng.integers(0, 10, size.rows)})
    pq.write_table(table, path, row_group_size=size.group)
    return path


def by_loader(make: Callable[[], Any], batch: int, workers: int) -> Run:
    """An epoch of a shuffled ``Loader``."""
    loader = Loader(make(), batch, workers=workers)
    return partial(checksum, loader)


def by_torch(data: Dataset[Any], batch: int, workers: int) -> Run:
    """An epoch of torch's loader, its workers kept as ours are."""
    shuffle = None if isinstance(data, IterableDataset) else True
    kept = workers > 0
    return partial(checksum, DataLoader(data, batch, shuffle=shuffle, num_workers=workers, persistent_workers=kept))


def bare_tokens(path: Path, size: Size) -> Run:
    """The same windows in a random order by NumPy alone, as int64 tokens and targets."""
    found = np.memmap(path, np.uint16, "r").view(np.ndarray)
    windows = (len(found) - 1) // size.length

    def batches() -> Iterator[Any]:
        order = np.random.default_rng(2).permutation(windows)
        for first in range(0, windows, size.batch):
            starts = order[first : first + size.batch] * size.length
            x, y = (np.empty((len(starts), size.length), np.int64) for _ in range(2))
            for row, start in enumerate(starts.tolist()):
                x[row] = found[start : start + size.length]
                y[row] = found[start + 1 : start + size.length + 1]
            yield torch.from_numpy(x), torch.from_numpy(y)

    return lambda: checksum(batches())


def bare_rows(path: Path, size: Size) -> Run:
    """All row groups in their order by pyarrow alone, cut into batches without a copy."""
    import pyarrow.parquet as pq

    def batches() -> Iterator[Any]:
        with pq.ParquetFile(path, memory_map=True) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group).combine_chunks()
                x = table["x"].chunk(0).values.to_numpy().reshape(-1, size.width)
                labels = table["label"].chunk(0).to_numpy()
                for first in range(0, len(labels), size.row_batch):
                    part = slice(first, first + size.row_batch)
                    yield {"x": x[part], "label": labels[part]}

    return lambda: checksum(batches())


class Windows(Dataset[Any]):
    """Token windows as one writes them for torch."""

    def __init__(self, path: Path, length: int, function: Callable[[Window], Window] | None = None) -> None:
        self.path, self.length, self.function = path, length, function
        self.size = (path.stat().st_size // 2 - 1) // length

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Window:
        first = index * self.length
        window = np.memmap(self.path, np.uint16, "r")[first : first + self.length + 1].astype(np.int64)
        sample = torch.from_numpy(window[:-1]), torch.from_numpy(window[1:])
        return self.function(sample) if self.function else sample


def masked(sample: Window) -> Window:
    """A function as users have them: every seventh token of the vocabulary is hidden."""
    shown, targets = sample
    return shown.masked_fill(shown % 7 == 0, 0), targets


class Rows(IterableDataset[Any]):
    """Parquet rows as one writes them for torch: each worker has its row groups, shuffled inside."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        info = get_worker_info()
        number, of = (info.id, info.num_workers) if info else (0, 1)
        with pq.ParquetFile(self.path, memory_map=True) as file:
            for group in range(number, file.num_row_groups, of):
                table = file.read_row_group(group).combine_chunks()
                x = table["x"].chunk(0)
                x = torch.from_numpy(x.values.to_numpy().reshape(len(x), -1).copy())
                labels = torch.from_numpy(table["label"].chunk(0).to_numpy().copy())
                for row in torch.randperm(len(labels)).tolist():
                    yield {"x": x[row], "label": labels[row]}


def checksum(batches: Iterable[Any]) -> float:
    """The sum of the last part of every batch: labels, or targets."""
    total = 0
    for batch in batches:
        total += int((batch["label"] if isinstance(batch, dict) else batch[1][:, 0]).sum())
    return float(total)
