from __future__ import annotations

import pytest
import torch

from tessera.data import Loader, arrays
from tessera.errors import SettingError
from tests.data.functions import Counting, double, is_even, noisy


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"workers": -1},
            "^workers=-1 was passed. workers is a whole number of at least 0. Write for example workers=2.$",
        ),
        ({"workers": 1.0}, "^workers=1.0"),
        ({"workers": "2"}, "^workers='2'"),
        ({"seed": -3}, "^seed=-3"),
        ({"seed": None}, "^seed=None"),
        ({"ahead": 0}, "^ahead=0"),
        ({"shuffle": 1}, "^shuffle=1 was passed. shuffle is True or False. Write shuffle=True.$"),
        ({"drop_last": "no"}, "^drop_last='no'"),
        (
            {"worker_kind": "threads"},
            "^worker_kind='threads' was passed. worker_kind is 'auto', 'process' or 'thread'. Write worker_kind='thr",
        ),
        (
            {"on_error": "ignore"},
            "^on_error='ignore' was passed. on_error is 'stop' or 'skip'. Write on_error='stop'.$",
        ),
        ({"world_size": 2, "batch_size": 4}, "^The last batch of an epoch may not divide among world_size=2 ranks"),
    ],
)
def test_what_makes_no_sense(arguments, words):
    with pytest.raises(SettingError, match=words):
        Loader(torch.arange(9), **{"batch_size": 3, **arguments})


def test_ranks_that_get_alike_need_not_drop():
    for rank in range(2):
        loader = Loader(torch.arange(10), 4, rank=rank, world_size=2)
        assert [len(batch) for batch in loader] == [2, 2, 1]
    with pytest.raises(SettingError, match="Write drop_last=True"):
        Loader(arrays(torch.arange(10)).filter(is_even), 4, world_size=2)


@pytest.mark.parametrize("arguments", [{}, {"shuffle": False, "workers": 1}])
def test_an_iterable_is_neither_shuffled_nor_given_to_workers(arguments):
    with pytest.raises(SettingError, match="data that can only be iterated over"):
        Loader(Counting(), 4, **arguments)


def test_threads_and_random_numbers():
    data = arrays(torch.arange(9))
    with pytest.raises(SettingError, match=r"^worker_kind='thread' was passed, and map double may draw") as caught:
        Loader(data.map(double), 3, workers=2, worker_kind="thread")
    assert caught.value.where.file == double.__code__.co_filename
    for sound in (data.map(double, random=False), data.map(noisy)):
        with Loader(sound, 3, workers=2, worker_kind="thread") as loader:
            assert len(list(loader)) == 3
    assert len(Loader(data.map(double), 3, worker_kind="thread")) == 3  # no workers, no threads
