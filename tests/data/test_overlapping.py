from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from tessera.data import Loader, arrays, inspect, overlapping
from tessera.data.overlapping import Overlapping
from tessera.data.sources.arrays import Arrays
from tessera.errors import DataError
from tests.data.functions import double, is_even


class Slow(Arrays):
    """Arrays from a place that takes its time."""

    def __init__(self, data, seconds=0.002):
        super().__init__(data)
        self.seconds, self.makers = seconds, []

    def batch(self, indices, empty=np.empty):
        self.makers.append(threading.current_thread().name)
        time.sleep(self.seconds)
        return super().batch(indices, empty)


class Torn(Slow):
    def batch(self, indices, empty=np.empty):
        if 33 in indices:
            raise DataError("Row 33 cannot be read.", "It can.", "Look at it.")
        return super().batch(indices, empty)


MAIN = threading.current_thread().name


def test_small_batches_are_made_by_this_thread_when_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(overlapping, "_LEAST_S", 0.1)  # a busy machine makes any batch slow
    source = Slow(torch.arange(80), seconds=0.0)
    with Loader(source, 2, workers=2) as loader:
        assert len(list(loader)) == 40
        assert set(source.makers) == {MAIN}
        assert "with no workers at work, as batches are cut faster than handed over" in str(inspect(loader))


def test_slow_batches_are_made_ahead_of_time():
    source = Slow(torch.arange(80))
    with Loader(source, 2, workers=2, ahead=3) as loader, Loader(torch.arange(80), 2) as plain:
        batches = iter(loader)
        seen = [next(batches).tolist() for _ in range(4)]
        time.sleep(0.1)
        assert len(source.makers) == 3 + 2 * 3  # the first ones, and as many as may be begun
        seen += [batch.tolist() for batch in batches]
        assert seen == [batch.tolist() for batch in plain]
        assert source.makers[:3] == [MAIN] * 3
        assert MAIN not in source.makers[3:]
        assert "with 2 thread workers, as no Python runs for each sample" in str(inspect(loader))


@pytest.mark.parametrize("seconds", [0.0, 0.002])
def test_the_order_and_the_state_are_those_without_workers(seconds):
    expected = [[batch.tolist() for batch in plain] for plain in [Loader(torch.arange(50), 4, seed=2)] * 3]
    with Loader(Slow(torch.arange(50), seconds), 4, seed=2, workers=3) as loader:
        assert [[batch.tolist() for batch in loader] for _ in range(2)] == expected[:2]
        for number, _ in enumerate(loader):
            if number == 5:
                break
        saved = loader.state_dict()
    with Loader(Slow(torch.arange(50), seconds), 4, seed=2, workers=1) as loader:
        loader.load_state_dict(saved)
        assert [batch.tolist() for batch in loader] == expected[2][6:]


def test_some_slow_ones_among_many_are_enough(monkeypatch):
    """As in Parquet, where only some batches wait for the next group of rows."""
    source, now = Slow(torch.arange(200), seconds=0.0), [0.0]
    read = source.batch

    def batch(indices, empty=np.empty):
        now[0] += 0.02 if 7 in indices else 1e-5
        return read(indices, empty)

    source.batch = batch
    monkeypatch.setattr(overlapping, "perf_counter", lambda: now[0])
    with Loader(source, 5, shuffle=False, workers=2) as loader:
        assert len(list(loader)) == 40
    assert source.makers[:32] == [MAIN] * 32
    assert MAIN not in source.makers[32:]


def test_closed_it_can_be_looped_over_again():
    source = Slow(torch.arange(40))
    loader = Loader(source, 2, workers=2)
    before = threading.active_count()
    for _ in range(2):
        assert len(list(loader)) == 20
        assert threading.active_count() > before
        loader.close()
        assert threading.active_count() == before


@pytest.mark.parametrize("seconds", [0.0, 0.002])
def test_an_error_comes_where_it_came_without_workers(seconds):
    def before_the_error(workers):
        with Loader(Torn(torch.arange(60), seconds), 4, workers=workers) as loader:
            with pytest.raises(DataError) as caught:
                list(loader)
            return str(caught.value), loader.state_dict()

    assert before_the_error(2) == before_the_error(0)


def test_processes_where_python_runs_for_each_sample():
    data = arrays(torch.arange(40))
    for each in (data.map(double), data.filter(is_even), [1, 2, 3], data.pack(4)):
        loader = Loader(each, 2, workers=2)
        assert (loader.worker_kind, loader.makers) == ("process", "2 process workers")
    assert Loader(data, 2, workers=2, collate=list).worker_kind == "process"
    assert Loader(data, 2, workers=2, on_error="skip").worker_kind == "process"
    for plain in (data, data.select(range(9)), torch.utils.data.TensorDataset(torch.arange(9))):
        loader = Loader(plain, 2, workers=2)
        assert loader.worker_kind == "thread"
        assert isinstance(loader._pool, Overlapping)
