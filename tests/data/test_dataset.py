from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from tessera.data import arrays, dataset
from tessera.errors import SettingError
from tests.data.functions import double, is_even, noisy


def test_every_method_makes_another_dataset():
    plain = arrays(torch.arange(10))
    mapped = plain.map(double)
    assert [int(mapped[number]) for number in (0, 3, -1)] == [0, 6, 18]
    assert int(plain[3]) == 3
    assert len(mapped) == 10
    assert plain.filter(is_even).stages != plain.stages


def test_torchs_own_loader_takes_it():
    loader = DataLoader(arrays((torch.arange(10), torch.arange(10))).map(pair), batch_size=4)
    assert [x.tolist() for x, _ in loader] == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]


def pair(sample):
    return sample[0] * 2, sample[1]


def test_a_random_map_by_number_is_the_same_every_time():
    found = arrays(torch.arange(3)).map(noisy)
    assert found[1] == found[1]


@pytest.mark.parametrize("index", [3, -4])
def test_no_such_sample(index):
    with pytest.raises(IndexError, match=f"sample {index} of 3"):
        arrays(torch.arange(3))[index]


def test_a_filtered_dataset_has_no_numbers():
    found = arrays(torch.arange(10)).filter(is_even)
    with pytest.raises(TypeError, match=r"no len\(\)"):
        len(found)
    with pytest.raises(SettingError, match=r"^Sample 3 of a dataset with a filter or packing"):
        found[3]
    with pytest.raises(SettingError, match=r"^select\(\) was called after filter\(\)"):
        found.select([1])


def test_what_would_differ():
    described = dataset([[1], [2]]).map(double).filter(is_even).pack(4).describe()
    assert described == {
        "source": {"kind": "list", "samples": 2},
        "stages": ["map", "filter"],
        "packing": {"length": 4, "separator": None, "segments": False, "pad": None},
    }
