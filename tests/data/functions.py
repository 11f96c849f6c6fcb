"""Functions and datasets that tests send to workers: at the top of a module, so that a worker can import them."""

from __future__ import annotations

import os
import random
import signal
import time

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset


def double(sample):
    return sample * 2


def negated(rows):
    return {"n": [-n for n in rows["n"]]}


def is_even(sample):
    return int(sample) % 2 == 0


def noisy(sample, rng):
    return float(sample) + rng.random()


def drawn_from_all(sample):
    return sample.double() + torch.rand(()) + np.random.rand() + random.random()  # noqa: NPY002 - as users do


def fails_on_13(sample):
    if int(sample) == 13:
        raise KeyError("no thirteenth")
    return sample


def exits_on_13(sample):
    if int(sample) == 13:
        raise SystemExit(3)
    return sample


def killed_on_13(sample):
    if int(sample) == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample


def ends_on_13(sample):
    if int(sample) == 13:
        os._exit(0)
    return sample


def stops_iteration(sample):
    raise StopIteration


def slow(sample):
    time.sleep(0.01)
    return sample


def with_pid(sample):
    return sample, os.getpid()


def as_list(samples):
    return [float(sample) for sample in samples]


def masked(samples):
    return torch.stack([sample for sample in samples if torch.rand(()) < 0.5] or [samples[0]])


class Squares(Dataset):
    def __init__(self, size=20):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return {"x": torch.tensor([index, index * index]), "noise": torch.rand(())}


class Counting(IterableDataset):
    def __init__(self, size=20):
        self.size, self.epoch = size, None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return iter(torch.arange(self.size) + 100 * (self.epoch or 0))


def plain(value):
    """Tensors as nested lists, so that batches can be compared."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value
