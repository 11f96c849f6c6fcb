from __future__ import annotations

import pytest
import torch

from tessera.errors import SettingError
from tessera.train.early_stopping import EarlyStopping
from tessera.train.history import History
from tessera.train.run import Run


def new_run() -> Run:
    return Run(torch.nn.Linear(1, 1), [], History())


def stops(rule: EarlyStopping, name: str, results: list[float], run: Run | None = None) -> list[bool]:
    """Whether the training is to stop after each of the results."""
    run = run or new_run()
    rule.begin(run)
    stopped = []
    for result in results:
        run.step, run.epoch = run.step + 1, run.step + 1
        rule.measured(run, {name: result})
        stopped.append(bool(run.stopped))
    return stopped


def test_stops_after_epochs_without_improvement():
    assert stops(EarlyStopping(patience=2), "loss", [3.0, 2.0, 2.5, 1.9, 2.0, 2.1]) == [False] * 5 + [True]


def test_an_improvement_must_be_large_enough():
    assert stops(EarlyStopping(patience=2, min_delta=0.5), "loss", [3.0, 2.6, 2.55]) == [False, False, True]


def test_accuracy_is_better_when_higher():
    assert stops(EarlyStopping(patience=1, monitor="accuracy"), "accuracy", [0.5, 0.6, 0.6]) == [False, False, True]
    assert stops(EarlyStopping(patience=1, monitor="f1", better="higher"), "f1", [0.5, 0.4]) == [False, True]
    assert stops(EarlyStopping(patience=1, monitor="error", better="lower"), "error", [0.5, 0.4]) == [False, False]


def test_a_loss_that_is_not_a_number_is_no_improvement():
    assert stops(EarlyStopping(patience=2), "loss", [float("nan"), 1.0, float("nan"), float("nan")]) == [False] * 3 + [
        True
    ]


def trained(rule: EarlyStopping) -> Run:
    """Three steps, the second of which is the best; the weight is the number of the step."""
    run = new_run()
    rule.begin(run)
    for value, loss in ((1.0, 2.0), (2.0, 1.0), (3.0, 1.5)):
        with torch.no_grad():
            run.module.weight.fill_(value)
        run.step, run.epoch = run.step + 1, run.epoch + 1
        rule.measured(run, {"loss": loss})
    return run


def test_the_best_weights_come_back_in_place():
    rule = EarlyStopping(patience=3)
    run = trained(rule)
    weight = run.module.weight
    run.stop("3 epochs done")
    rule.end(run)
    assert rule.best_step == 2
    assert run.module.weight is weight
    assert weight.item() == 2.0
    assert run.stopped == "3 epochs done; the weights of epoch 3 are back"


def test_nothing_comes_back_after_an_error_or_when_it_was_not_kept():
    rule = EarlyStopping(patience=3)
    run = trained(rule)
    run.error = KeyboardInterrupt()
    rule.end(run)
    assert run.module.weight.item() == 3.0
    rule = EarlyStopping(patience=3, restore_best=False)
    run = trained(rule)
    rule.end(run)
    assert run.module.weight.item() == 3.0
    assert run.stopped == ""


def test_the_reason_names_the_best_epoch():
    run = new_run()
    assert stops(EarlyStopping(patience=2), "loss", [3.0, 2.0, 2.5, 2.5], run)[-1]
    assert run.stopped == "no better loss since epoch 2"


def test_it_goes_on_from_what_was_saved():
    results = [3.0, 2.0, 2.5, 1.9, 2.0, 2.1]
    for cut in range(1, len(results)):
        first, second, run = EarlyStopping(patience=2), EarlyStopping(patience=2), new_run()
        before = stops(first, "loss", results[:cut], run)
        second.load_state_dict(first.state_dict())
        assert before + stops(second, "loss", results[cut:], run) == [False] * 5 + [True]
        assert second.best_step == 4


def test_another_training_begins_anew():
    rule = EarlyStopping(patience=1)
    assert stops(rule, "loss", [1.0, 2.0]) == [False, True]
    assert stops(rule, "loss", [3.0, 4.0]) == [False, True]


@pytest.mark.parametrize("numbers", [{"patience": -1}, {"patience": 1, "min_delta": -0.1}])
def test_numbers_below_zero(numbers):
    with pytest.raises(SettingError) as error:
        EarlyStopping(**numbers)
    assert str(error.value) == (
        f"EarlyStopping got patience={numbers['patience']} and min_delta={numbers.get('min_delta', 0.0)}. "
        "The one is a whole number of validations, the other a number; both are zero or more. "
        "Write for example EarlyStopping(patience=3)."
    )
    for patience in ("3", True, 1.5, None):
        with pytest.raises(SettingError, match="EarlyStopping got patience="):
            EarlyStopping(patience=patience)


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
        EarlyStopping(patience=1, monitor="accuracy").measured(new_run(), {"loss": 1.0, "f1": 0.5})
    assert str(error.value) == (
        "EarlyStopping monitors 'accuracy'. The results of an epoch are 'loss', 'f1'. "
        "Name one of them, or pass the metric: metrics={...}."
    )
