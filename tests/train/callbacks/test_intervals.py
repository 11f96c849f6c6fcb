from __future__ import annotations

import pytest

from tessera.errors import SettingError
from tessera.train.callbacks.intervals import check_interval
from tessera.train.callbacks.tensorboard import TensorBoard


def test_whole_numbers_and_none_pass():
    check_interval(object(), every=1, histograms=None)


def test_others_do_not():
    with pytest.raises(SettingError) as caught:
        TensorBoard("runs", histograms=0)
    assert str(caught.value) == (
        "TensorBoard was given histograms=0. histograms is a whole number of steps, at least 1. "
        "Write for example TensorBoard(..., histograms=50)."
    )
