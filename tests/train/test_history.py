from __future__ import annotations

import json

from tessera.program import Report
from tessera.train.history import History, format_value


def trained() -> History:
    history = History(report=Report("training step of Net"))
    history.loss += [4.0, 2.0, 1.0]
    history.add_epochs([2], 0.5, {"loss": [3.0], "accuracy": [0.25]})
    history.add_validation(2, {"loss": 2.5, "accuracy": 0.5})
    history.show_validation()
    history.add_epochs([1], 0.5, {"loss": [1.0], "accuracy": [0.75]})
    history.add_validation(3, {"loss": 1.5, "accuracy": 0.625})
    history.show_validation()
    history.stopped = "2 epochs done"
    return history


def test_epochs_hold_everything():
    history = trained()
    assert history.epochs[0] == {
        "epoch": 1,
        "steps": 2,
        "seconds": 1.0,
        "loss": 3.0,
        "accuracy": 0.25,
        "validation loss": 2.5,
        "validation accuracy": 0.5,
    }
    assert history.epochs[1]["epoch"] == 2
    assert history.metrics == {"accuracy": [0.25, 0.75]}
    assert history.validation[1] == {"loss": 1.5, "accuracy": 0.625}


def test_a_validation_of_an_epoch_before_is_not_shown_again():
    history = trained()
    history.add_epochs([2], 0.5, {"loss": [0.5]})
    history.show_validation()
    assert "validation loss" not in history.epochs[-1]


def test_a_copy_goes_on_from_what_was_saved():
    history, again = trained(), History()
    state = history.state_dict()
    history.epochs[0]["loss"] = 0.0  # what is saved is what was then
    again.load_state_dict(state)
    assert again.loss == [4.0, 2.0, 1.0]
    assert again.epochs == trained().epochs
    assert (again.validation, again.validation_steps, again.metrics) == (
        history.validation, [2, 3], history.metrics,
    )  # fmt: skip


def test_it_prints_as_a_table():
    assert str(trained()) == (
        "epoch  steps  seconds  loss  accuracy  validation loss  validation accuracy\n"
        "    1      2     1.00     3      0.25              2.5                  0.5\n"
        "    2      1     0.50     1      0.75              1.5                0.625\n"
        "2 epochs done"
    )


def test_a_long_table_is_cut_in_the_middle():
    history = History(stopped="1,000 epochs done")
    history.add_epochs([1] * 1000, 0.0, {"loss": [0.5] * 1000})
    lines = str(history).splitlines()
    assert len(lines) == 23
    assert lines[10].split()[0] == "10"
    assert lines[11].split() == ["..."] * 4
    assert lines[21].split()[0] == "1,000"


def test_nothing_trained():
    assert str(History(stopped="The loss is nan.")) == "no epoch finished: The loss is nan."


def test_json_holds_everything():
    record = json.loads(trained().to_json())
    assert record["loss"] == [4.0, 2.0, 1.0]
    assert record["epochs"][1]["validation accuracy"] == 0.625
    assert record["report"]["subject"] == "training step of Net"
    assert record["stopped"] == "2 epochs done"
    assert json.loads(History().to_json())["report"] is None


def test_json_holds_the_learning_rates():
    assert json.loads(History(learning_rates={"lr": [(5, 0.5)]}).to_json())["learning_rates"] == {"lr": [[5, 0.5]]}


def test_values_are_short():
    assert format_value("steps", 12345) == "12,345"
    assert format_value("seconds", 1.5) == "1.50"
    assert format_value("loss", 0.123456) == "0.1235"
    assert format_value("loss", None) == ""
