from __future__ import annotations

import pytest
import torch

from tessera.errors import SettingError
from tessera.train.early_stopping import EarlyStopping, Watch


def watch(**rule) -> Watch:
    return Watch(EarlyStopping(**rule), torch.nn.Linear(1, 1))


def stops(watched: Watch, name: str, results: list[float]) -> list[bool]:
    return [watched.should_stop({name: result}) for result in results]


def test_stops_after_epochs_without_improvement():
    assert stops(watch(patience=2), "loss", [3.0, 2.0, 2.5, 1.9, 2.0, 2.1]) == [False] * 5 + [True]


def test_an_improvement_must_be_large_enough():
    assert stops(watch(patience=2, min_delta=0.5), "loss", [3.0, 2.6, 2.55]) == [False, False, True]


def test_accuracy_is_better_when_higher():
    assert stops(watch(patience=1, monitor="accuracy"), "accuracy", [0.5, 0.6, 0.6]) == [False, False, True]
    assert stops(watch(patience=1, monitor="f1", better="higher"), "f1", [0.5, 0.4]) == [False, True]
    assert stops(watch(patience=1, monitor="error", better="lower"), "error", [0.5, 0.4]) == [False, False]


def test_a_loss_that_is_not_a_number_is_no_improvement():
    assert stops(watch(patience=2), "loss", [float("nan"), 1.0, float("nan"), float("nan")]) == [False] * 3 + [True]


def test_the_best_weights_come_back_in_place():
    watched = watch(patience=3)
    weight = watched.module.weight
    for value, loss in ((1.0, 2.0), (2.0, 1.0), (3.0, 1.5)):
        with torch.no_grad():
            weight.fill_(value)
        watched.should_stop({"loss": loss})
    assert watched.best_epoch == 2
    assert watched.restore()
    assert watched.module.weight is weight
    assert weight.item() == 2.0


def test_nothing_to_restore():
    watched = watch(patience=3)
    assert not watched.restore()
    watched.should_stop({"loss": 1.0})
    assert not watched.restore()
    watched = watch(patience=3, restore_best=False)
    stops(watched, "loss", [1.0, 2.0])
    assert not watched.restore()


@pytest.mark.parametrize("numbers", [{"patience": -1}, {"patience": 1, "min_delta": -0.1}])
def test_numbers_below_zero(numbers):
    with pytest.raises(SettingError) as error:
        EarlyStopping(**numbers)
    assert str(error.value) == (
        f"EarlyStopping got patience={numbers['patience']} and min_delta={numbers.get('min_delta', 0.0)}. "
        "Both are zero or more. Write for example EarlyStopping(patience=3)."
    )


def test_better_must_be_said_for_other_results():
    with pytest.raises(SettingError) as error:
        EarlyStopping(patience=2, monitor="f1")
    assert str(error.value) == (
        "EarlyStopping got monitor='f1', and whether higher is better is not known. "
        "For 'loss' and 'accuracy' it is known, for other results it is said. "
        "Write EarlyStopping(patience=2, monitor='f1', better='higher') or 'lower'."
    )


def test_a_result_that_there_is_not():
    with pytest.raises(SettingError) as error:
        watch(patience=1, monitor="accuracy").should_stop({"loss": 1.0, "f1": 0.5})
    assert str(error.value) == (
        "EarlyStopping monitors 'accuracy'. The results of an epoch are 'loss', 'f1'. "
        "Name one of them, or pass the metric: metrics={...}."
    )
