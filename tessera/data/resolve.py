"""Any data as a ``Dataset``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, TensorDataset

from tessera.data.dataset import Dataset
from tessera.data.source import Source
from tessera.data.sources.arrays import Arrays
from tessera.data.sources.iterables import Iterated
from tessera.data.sources.numbered import Numbered
from tessera.errors import BatchError


def dataset(found: object, *, random: bool = True) -> Dataset:
    """The dataset in ``found``; see ``Loader`` for what it may be.

    Args:
        random: False says that a Dataset of your own draws no random numbers while it reads a sample; see
            ``Dataset.map``.

    Raises:
        BatchError: it is no data.
    """
    if isinstance(found, Dataset):
        return found
    source = _source(found, random)
    if source is None:
        raise BatchError(
            f"{_described(found)} was passed as data.",
            "Data is arrays in a tuple or dict, a Dataset, a list of samples, or an iterable that can start anew.",
            "Write for example Loader((x, y), 32), Loader(data.parquet('train/*.parquet'), 32), or "
            "Loader(data.tokens('train.bin', 1024), 32).",
        )
    return Dataset(source)


def _source(found: object, random: bool) -> Source | None:
    if isinstance(found, TensorDataset):
        found = found.tensors
    if isinstance(found, Source):
        return found
    if isinstance(found, (tuple, Mapping, torch.Tensor, np.ndarray)):
        return Arrays(dict(found) if isinstance(found, Mapping) else found)
    if _is_hugging_face(found):
        from tessera.data.sources.huggingface import rows

        return rows(found)
    if isinstance(found, (str, bytes, Path, Iterator)):
        return None
    if hasattr(found, "__getitem__") and hasattr(found, "__len__") and not isinstance(found, IterableDataset):
        return Numbered(found, random=random and not isinstance(found, (list, range)))
    return Iterated(found) if isinstance(found, Iterable) else None


def _is_hugging_face(found: object) -> bool:
    datasets: Any = sys.modules.get("datasets")  # who has one of its objects has imported it
    return datasets is not None and isinstance(found, getattr(datasets, "Dataset", ()))


def _described(found: object) -> str:
    if isinstance(found, (str, bytes, Path)):
        return f"The path {str(found)!r}"
    if isinstance(found, Iterator):
        return f"An iterator of type {type(found).__name__}, which yields its samples a single time,"
    return f"An object of type {type(found).__name__}"
