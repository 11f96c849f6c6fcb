from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from tessera.data.collation import joined
from tessera.data.shared_memory import Segment
from tessera.data.structure import leaves_of
from tessera.errors import BatchError

DTYPES = (torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64, torch.uint8)


class Pair(NamedTuple):
    x: Any
    y: Any


class Marked(torch.Tensor):
    """A tensor subclass."""


def sample_of(rng, depth=0):
    """What a sample may be; all made by generators of one seed are alike but for their values."""
    kind = rng.integers(9 if depth < 2 else 6)
    shape = tuple(int(side) for side in rng.integers(0 if rng.random() < 0.1 else 1, 4, rng.integers(0, 3)))
    if kind < 3:
        return (torch.rand(shape) * 9).to(DTYPES[rng.integers(len(DTYPES))])
    if kind < 6:
        return (torch.rand(shape).numpy(), int(torch.randint(9, ())), str(float(torch.rand(()))))[kind - 3]
    inner = [sample_of(rng, depth + 1) for _ in range(2)]
    return ({"a": inner[0], "b": inner[1]}, tuple(inner), Pair(*inner))[kind - 6]


def check_the_same(samples, segment):
    expected = default_collate(samples)
    found = joined(samples, segment.arena())
    (ours, rebuild), (theirs, other) = leaves_of(found), leaves_of(expected)
    assert rebuild == other
    for mine, one in zip(ours, theirs, strict=True):
        assert (mine.dtype, mine.shape, type(mine)) == (one.dtype, one.shape, type(one))
        assert torch.equal(mine, one)
    sent = segment.read(segment.write(ours))
    assert all(map(torch.equal, sent, theirs))


def test_it_is_torchs_batch_whatever_the_samples_are():
    segment = Segment()
    for seed in range(200):
        check_the_same([sample_of(np.random.default_rng(seed)) for _ in range(3)], segment)


def test_what_is_more_than_numbers_is_left_to_torch():
    segment = Segment()
    segment.bytes(1 << 16)
    for samples in (
        [torch.ones(2, dtype=torch.float32), torch.ones(2, dtype=torch.float64)],
        [torch.ones(2).as_subclass(Marked)] * 2,
        [torch.ones(2, dtype=torch.complex64).conj()] * 2,
        [torch.ones(2, 3).T, torch.ones(3, 2)],
        [torch.full((2,), math.nan).nan_to_num()] * 2,
    ):
        check_the_same(samples, segment)
    batch = joined([torch.ones(2, requires_grad=True)] * 2, segment.arena())
    assert batch.requires_grad


def test_a_batch_is_made_where_it_is_wanted():
    segment = Segment()
    memory = segment.bytes(1 << 16)
    first = memory.__array_interface__["data"][0]
    batch = joined([(torch.rand(5), {"y": torch.arange(7)}) for _ in range(4)], segment.arena())
    places = [leaf.data_ptr() - first for leaf in leaves_of(batch)[0]]
    assert places == [0, 128]  # 4 * 5 numbers of 4 bytes, and the next cache line


def test_samples_that_do_not_fit():
    for empty in (np.empty, Segment().arena()):
        with pytest.raises(BatchError, match=r"^2 samples could not be joined to a batch: "):
            joined([torch.ones(2), torch.ones(3)], empty)
        with pytest.raises(BatchError, match=r"^1 samples could not be joined"):
            joined([object()], empty)
