from __future__ import annotations

import threading

import pytest
import torch

from tessera.data import Loader, arrays
from tessera.errors import DataError
from tests.data.functions import fails_on_13, slow


def test_threads_work_ahead_and_end():
    before = threading.active_count()
    with Loader(arrays(torch.arange(40)).map(slow, random=False), 4, workers=3, worker_kind="thread") as loader:
        batches = [next(iter(loader))]
        assert threading.active_count() == before + 3
        loader.seek(0)
        batches = list(loader)
    assert threading.active_count() == before
    expected = list(Loader(torch.arange(40), 4))
    assert all(map(torch.equal, batches, expected))


def test_an_error_in_a_thread_is_the_error_itself():
    data = arrays(torch.arange(40)).map(fails_on_13, random=False)
    with Loader(data, 4, workers=2, worker_kind="thread") as loader, pytest.raises(DataError, match="no thirteenth"):
        list(loader)


def test_without_workers_nothing_is_made_ahead():
    made = []
    loader = Loader(arrays(torch.arange(40)).map(lambda x: made.append(int(x)) or x, random=False), 4)
    next(iter(loader))
    assert len(made) == 4
