from __future__ import annotations

import csv
import random

import pytest
import torch

from tessera.errors import SettingError
from tessera.train.callbacks.csv_logger import CSVLogger
from tests.train.callbacks.hand_made import Training


def rows(path, *, without=()):
    with path.open() as file:
        return [{name: cell for name, cell in row.items() if name not in without} for row in csv.DictReader(file)]


def numbers(path, name):
    return {int(row["step"]): float(row[name]) for row in rows(path) if row[name]}


def test_one_table_holds_all(tmp_path):
    path = tmp_path / "new" / "log.csv"
    weight = torch.nn.Parameter(torch.ones(()))
    training = Training(20, 10, validate_every=10, optimizers=[torch.optim.SGD([weight], lr=0.25)])
    training.run([CSVLogger(path, every=4)])
    head = "step,epoch,loss,accuracy,lr,samples/s,validation loss,epoch loss,epoch accuracy"
    assert path.read_text().splitlines()[0] == head
    assert list(numbers(path, "epoch")) == [4, 8, 10, 12, 16, 20]
    loss = numbers(path, "loss")
    assert loss[4] == pytest.approx(sum(training.loss(step) for step in (1, 2, 3, 4)) / 4)
    assert loss[10] == pytest.approx(sum(training.loss(step) for step in (9, 10)) / 2)
    assert loss[12] == pytest.approx(sum(training.loss(step) for step in (11, 12)) / 2)
    assert numbers(path, "validation loss") == {step: pytest.approx(2 * training.loss(step)) for step in (10, 20)}
    assert numbers(path, "epoch accuracy") == {10: 0.05, 20: 0.1}
    assert numbers(path, "accuracy")[8] == 0.08
    assert set(numbers(path, "lr").values()) == {0.25}
    assert 4 not in numbers(path, "samples/s")  # compiling is in the first one
    assert numbers(path, "samples/s")[8] > 0


def test_without_validation_the_results_of_an_epoch_are_no_validation(tmp_path):
    Training(10, 5).run([CSVLogger(tmp_path / "log.csv", every=3)])
    assert not [name for name in rows(tmp_path / "log.csv")[0] if "validation" in name]
    assert list(numbers(tmp_path / "log.csv", "epoch loss")) == [5, 10]


def test_pandas_reads_it(tmp_path):
    pandas = pytest.importorskip("pandas")
    training = Training(20, 10, validate_every=10)
    training.run([CSVLogger(tmp_path / "log.csv", every=4)])
    table = pandas.read_csv(tmp_path / "log.csv", index_col="step")
    assert table.index.is_unique
    assert table["loss"].notna().all()
    assert table["validation loss"].count() == 2


@pytest.mark.parametrize("seed", range(40))
def test_a_resumed_training_leaves_the_file_of_one_that_was_never_interrupted(tmp_path, seed):
    chance = random.Random(seed)
    validate_every = chance.choice([None, 1, 3, 4, 7])
    save_every, save_first = chance.randint(2, 8), chance.random() < 0.5
    settings = {"steps": 40, "epoch_steps": chance.choice([3, 5, 8, 40]), "validate_every": validate_every}
    settings |= {"save_every": save_every, "save_first": save_first}
    every = chance.randint(1, 12)
    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    Training(**settings).run([CSVLogger(whole, every)])
    since = None
    for _ in range(chance.randint(1, 3)):
        begun = since.step if since else 0
        taken = Training(**settings).run([CSVLogger(cut, every)], since=since, die_after=chance.randint(begun + 1, 40))
        if chance.random() < 0.5:  # and the last line was not whole on the disk
            with cut.open("a") as file:
                file.write(chance.choice(["39,", "39", '39,"', "4"]))
        since = chance.choice(taken) if taken else since
    Training(**settings).run([CSVLogger(cut, every)], since=since)
    assert rows(cut, without=["samples/s"]) == rows(whole, without=["samples/s"])


def test_the_file_is_whole_after_every_row(tmp_path):
    class Reader(CSVLogger):
        def write(self, run, values):
            super().write(run, values)
            seen.append(rows(tmp_path / "log.csv"))

    seen = []
    Training(12, 6, validate_every=4).run([Reader(tmp_path / "log.csv", every=2)])
    assert [found[-1]["step"] for found in seen] == [str(n) for n in (2, 4, 4, 6, 6, 8, 8, 10, 12, 12, 12)]
    assert all(None not in row and None not in row.values() for found in seen for row in found)


def test_numbers_are_exact_and_may_not_be_finite(tmp_path):
    class Bad(Training):
        def loss(self, step):
            return {1: 0.1, 2: float("nan"), 3: float("inf")}[step]

    Bad(3, 10).run([CSVLogger(tmp_path / "log.csv", every=1)])
    assert [row["loss"] for row in rows(tmp_path / "log.csv")] == ["0.1", "nan", "inf"]


def test_a_metric_may_have_the_name_of_a_column(tmp_path):
    class Named(Training):
        def _call(self, run, callbacks):
            run.results |= {"step": 0.5, "lr": 0.75, "a,b": 1.0}
            super()._call(run, callbacks)

    Named(4, 10).run([CSVLogger(tmp_path / "log.csv", every=2)])
    (first, second) = rows(tmp_path / "log.csv")
    assert (first["step"], second["step"]) == ("2", "4")
    assert (first["train step"], first["train lr"], first["a,b"]) == ("0.5", "0.75", "1")


def test_a_file_that_is_no_log_is_left_alone(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("name,age\nAda,36\n")
    with pytest.raises(SettingError, match="^'.*data.csv' is there already, and begins with 'name,age"):
        Training().run([CSVLogger(path)])
    assert path.read_text() == "name,age\nAda,36\n"


def test_a_new_training_writes_over_an_old_log(tmp_path):
    Training(8, 4).run([CSVLogger(tmp_path / "log.csv", every=2)])
    Training(4, 4).run([CSVLogger(tmp_path / "log.csv", every=4)])
    assert [row["step"] for row in rows(tmp_path / "log.csv")] == ["4"]


def test_a_row_that_cannot_be_written_comes_with_the_next(tmp_path, caplog):
    class Moved(Training):
        def _call(self, run, callbacks):
            if run.step in (3, 5):
                path.rename(away) if run.step == 3 else away.rename(path)
            super()._call(run, callbacks)

    path, away = tmp_path / "log.csv", tmp_path / "away.csv"
    Moved(8, 4).run([CSVLogger(path, every=1)])
    assert [row["step"] for row in rows(path)] == [str(n) for n in range(1, 9)]
    assert "Step 3 could not be logged" in caplog.text


def test_only_rank_0_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("tessera.train.callbacks.recorder.rank_of", lambda: 1)
    Training().run([CSVLogger(tmp_path / "log.csv", every=1)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_a_wrong_interval(every):
    with pytest.raises(SettingError, match=r"^CSVLogger was given every=.*at least 1\. Write for example CSVLogger"):
        CSVLogger("log.csv", every=every)
