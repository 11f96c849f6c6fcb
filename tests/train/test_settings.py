from __future__ import annotations

import pytest

from tessera.errors import SettingError
from tessera.train.settings import check_company, check_counts, check_measures, check_seed


def test_sound_settings_pass():
    check_counts(epochs=1, steps=None)


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "3"])
def test_a_count_that_is_none(count):
    with pytest.raises(SettingError) as error:
        check_counts(epochs=count)
    assert str(error.value) == (
        f"epochs={count!r} was passed. epochs is a whole number of at least 1. Write for example epochs=10."
    )


@pytest.mark.parametrize("seed", [1.5, "1", 2**64, -(2**63) - 1])
def test_a_seed_that_is_none(seed):
    for sound in (None, 0, -1, 2**64 - 1):
        check_seed(sound)
    with pytest.raises(SettingError) as error:
        check_seed(seed)
    assert str(error.value) == (
        f"seed={seed!r} was passed. seed is a whole number that fits into 64 bits, or None for the random numbers as "
        "they are. Write for example seed=0."
    )


def test_metrics_need_a_loss_function():
    check_measures("mse", "accuracy")
    check_measures(None, None)
    with pytest.raises(SettingError) as error:
        check_measures(None, "accuracy")
    assert str(error.value) == (
        "loss=None and metrics='accuracy' were passed. "
        "Metrics compare a prediction with labels, and a module that returns its own loss gives the step neither. "
        "Leave metrics out, or pass a loss (prediction, target) -> 0-d tensor."
    )


def test_a_setting_that_needs_another():
    check_company(class_weight=(None, "loss", None), sample_weight=([1.0], "loss", "mse"))
    with pytest.raises(SettingError) as error:
        check_company(class_weight=({0: 2.0}, "loss", None))
    assert str(error.value) == (
        "class_weight was passed without loss. It says more about loss, and has no effect without it. "
        "Pass loss as well, or leave class_weight out."
    )
