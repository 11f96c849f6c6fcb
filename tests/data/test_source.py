from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.data import Loader
from tessera.data.source import Source


class Powers(Source):
    """The least that a source of one's own has to say."""

    def __len__(self):
        return 8

    def samples(self, indices):
        return [2**index for index in indices.tolist()]

    def describe(self):
        return {"kind": "powers"}


def test_three_methods_make_a_source():
    assert sorted(torch.cat(list(Loader(Powers(), 4))).tolist()) == [2**number for number in range(8)]
    assert Powers().name(3) == "sample 3"
    assert Powers().order(None).indices(0, np.array([3])).tolist() == [3]


def test_what_it_cannot_do():
    with pytest.raises(NotImplementedError):
        Powers().batch(np.array([1]))
    with pytest.raises(NotImplementedError):
        Powers().iterate(0)
