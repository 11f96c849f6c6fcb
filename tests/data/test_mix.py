from __future__ import annotations

from collections import Counter

import pytest
import torch

from tessera.data import Loader, arrays, mix
from tessera.errors import EmptyDatasetError, SettingError
from tests.data.functions import double, is_even


def drawn(loader):
    return torch.cat(list(loader)).tolist()


def test_every_stretch_has_the_proportions():
    loader = Loader(mix([torch.arange(1000), torch.arange(1000, 1300)], [3, 1]), 40, shuffle=False)
    for batch in list(loader)[:-1]:
        assert (batch >= 1000).sum() == len(batch) // 4


def test_shuffled_epochs_have_the_proportions_too():
    loader = Loader(mix([torch.arange(10_000), torch.arange(10_000, 12_000)], [0.9, 0.1]), 1000)
    shares = [(batch >= 10_000).float().mean().item() for batch in loader]
    assert all(abs(share - 0.1) < 0.05 for share in shares)
    assert sum(shares[:-1]) / len(shares[:-1]) == pytest.approx(0.1, abs=0.01)


def test_an_epoch_ends_with_the_first_that_is_used_up():
    large, small = torch.arange(1000), torch.arange(1000, 1030)
    loader = Loader(mix([small, large], [0.5, 0.5]), 10)
    first = drawn(loader)
    assert Counter(x >= 1000 for x in first) == {True: 30, False: 30}
    assert len(set(first)) == 60


def test_a_large_dataset_goes_on_where_the_epoch_before_left_it():
    loader = Loader(mix([torch.arange(1000, 1030), torch.arange(90)]), 10)
    seen = [x for _ in range(3) for x in drawn(loader) if x < 1000]
    assert sorted(seen) == list(range(90))  # three epochs of thirty: each once, none left out


def test_all_exhausted_repeats_the_small_one():
    loader = Loader(mix([torch.arange(90), torch.arange(1000, 1030)], stop="all_exhausted"), 10)
    counted = Counter(drawn(loader))
    assert all(counted[x] == 1 for x in range(90))
    assert all(counted[x] == 3 for x in range(1000, 1030))


def test_each_has_its_own_maps():
    mixed = mix([arrays(torch.arange(10)).map(double), torch.arange(100, 110)])
    found = drawn(Loader(mixed, 4))
    assert sorted(x for x in found if x < 100) == list(range(0, 20, 2))
    assert sorted(x for x in found if x >= 100) == list(range(100, 110))
    assert drawn(Loader(mixed.map(double), 4)) == [2 * x for x in found]
    assert [int(mixed[number]) for number in (0, 9, 10, 19)] == [0, 18, 100, 109]


def test_a_sample_is_called_by_its_dataset():
    mixed = mix([torch.arange(10), torch.arange(5)])
    assert mixed.source.name(3) == "dataset 0 of the mix, row 3 of the arrays"
    assert mixed.source.name(12) == "dataset 1 of the mix, row 2 of the arrays"


def test_a_small_share_is_kept_and_a_smaller_one_refused():
    large, small = torch.zeros(60_000), torch.ones(10)
    found = torch.cat(list(Loader(mix([large, small], torch.tensor([0.9996, 0.0004])), 1000)))
    assert found.sum() == 10
    assert len(found) == pytest.approx(10 / 0.0004, rel=0.1)
    with pytest.raises(
        SettingError, match=r"^1e-05 of 1 was passed as a weight\. A share is at least one half of 1/10"
    ):
        mix([large, small], [1 - 1e-5, 1e-5])


@pytest.mark.parametrize(
    "weights", [[1], [1, 0], [1, -1], [1, float("nan")], [1, float("inf")], [1, 2, 3], [1, "a"], 3]
)
def test_weights_that_make_no_sense(weights):
    with pytest.raises(SettingError, match=r"^2 datasets and weights=.* one positive weight for each"):
        mix([torch.arange(3), torch.arange(3)], weights)


def test_no_dataset_and_no_such_end():
    with pytest.raises(SettingError, match="^0 datasets"):
        mix([])
    with pytest.raises(SettingError, match="^stop='longest' was passed"):
        mix([torch.arange(3)], stop="longest")


def test_an_empty_dataset():
    with pytest.raises(EmptyDatasetError, match="^Dataset 1 of the mix has no samples"):
        mix([torch.arange(3), torch.arange(0)])


def test_a_filter_goes_after_the_mix():
    with pytest.raises(SettingError, match=r"^Dataset 1 of the mix has a filter or is packed"):
        mix([torch.arange(3), arrays(torch.arange(3)).filter(is_even)])
    assert all(x % 2 == 0 for x in drawn(Loader(mix([torch.arange(9), torch.arange(9)]).filter(is_even), 4)))
