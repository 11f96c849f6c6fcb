from __future__ import annotations

import numpy as np
import pytest

from tessera.data import Loader, dataset
from tessera.errors import DataError
from tests.data.functions import Counting, double, fails_on_13, is_even, plain


def batches(loader):
    return [plain(batch) for batch in loader]


def test_stages_apply_and_a_run_goes_on():
    def make():
        return Loader(dataset(Counting(30)).map(double).filter(is_even), 4, shuffle=False)

    whole, loader = make(), make()
    expected = [batches(whole) for _ in range(2)]
    taken = [plain(next(iter(loader)))]
    later = make()
    later.load_state_dict(loader.state_dict())
    assert taken + batches(later) == expected[0]
    assert batches(later) == expected[1]


def test_ranks_share_it():
    ranks = [Loader(Counting(20), 4, shuffle=False, drop_last=True, rank=rank, world_size=2) for rank in range(2)]
    parts = [batches(rank) for rank in ranks]
    assert [one + other for one, other in zip(*parts, strict=True)] == batches(Loader(Counting(20), 4, shuffle=False))


def test_it_is_packed():
    documents = {tuple(range(number, number + 3)): None for number in range(0, 12, 3)}  # a dict's keys: an iterable
    loader = Loader(dataset(documents.keys()).pack(4), 1, shuffle=False)
    assert [x[0].tolist() for x, _ in loader] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_bad_samples_are_left_out():
    loader = Loader(dataset(Counting(20)).map(fails_on_13, random=False), 20, shuffle=False, on_error="skip")
    assert batches(loader) == [[number for number in range(20) if number != 13]]
    assert "sample 13" in loader.skipped[0]


class Broken:
    def __iter__(self):
        yield from range(3)
        raise KeyError("the line is down")


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_an_iterable_that_breaks_is_said_to(on_error):
    with pytest.raises(
        DataError, match=r"^Reading sample 3 of epoch 0 failed: KeyError: 'the line is down'\. "
    ) as caught:
        list(Loader(Broken(), 2, shuffle=False, on_error=on_error))
    assert caught.value.where.code == 'raise KeyError("the line is down")'


def test_it_has_no_numbers():
    source = dataset(Counting()).source
    with pytest.raises(TypeError):
        len(source)
    with pytest.raises(TypeError):
        source.samples(np.array([1]))
