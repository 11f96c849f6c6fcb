from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.data import Loader, arrays, dataset, mix
from tessera.errors import DataStateError, SettingError
from tests.data.functions import Squares, double


def test_only_these_in_this_order():
    for chosen in ([5, 1, -1], np.array([5, 1, 9]), torch.tensor([5, 1, 9]), np.array([5, 1, 9], np.uint8)):
        found = arrays(torch.arange(10)).map(double).select(chosen)
        assert torch.cat(list(Loader(found, 2, shuffle=False))).tolist() == [10, 2, 18]
    assert found.source.name(2) == "row 9 of the arrays"


def test_any_source_can_be_chosen_from():
    found = dataset(Squares()).select([3, 4])
    assert next(iter(Loader(found, 2, shuffle=False)))["x"].tolist() == [[3, 9], [4, 16]]
    mixed = mix([torch.arange(5), torch.arange(10, 15)]).select([7, 0])
    assert next(iter(Loader(mixed, 2, shuffle=False))).tolist() == [12, 0]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ([10], "from 10 to 10. They are whole numbers, .* from -10 to 9"),
        ([-11], "from -11 to -11"),
        ([[1]], r"indices of shape \[1, 1\] and dtype int64\."),
        ([0.5], "dtype float64"),
        ([True], "dtype bool"),
    ],
)
def test_indices_that_make_no_sense(chosen, words):
    with pytest.raises(SettingError, match=words):
        arrays(torch.arange(10)).select(chosen)


def test_another_choice_is_another_dataset():
    saved = Loader(arrays(torch.arange(10)).select([1, 2, 3]), 2).state_dict()
    with pytest.raises(DataStateError, match="checksum"):
        Loader(arrays(torch.arange(10)).select([1, 2, 4]), 2).load_state_dict(saved)
