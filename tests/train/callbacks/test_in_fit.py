"""The callbacks in a real training that is cut off and resumed."""

from __future__ import annotations

import csv

import pytest
import torch

import tessera
from tessera.optim import AdamW, cosine_decay
from tessera.train.callbacks.callback import Callback
from tessera.train.callbacks.csv_logger import CSVLogger
from tessera.train.callbacks.learning_rate import LearningRateMonitor
from tessera.train.callbacks.throughput import Throughput


class Crash(Callback):
    def __init__(self, step):
        self.every = step

    def step(self, run):
        raise KeyError


def table(path):
    with path.open() as file:
        return [{name: cell for name, cell in row.items() if name != "samples/s"} for row in csv.DictReader(file)]


def train(folder, *, crash_at=None):
    """36 steps in 3 epochs; all callbacks, then one that may raise."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.25), torch.nn.Linear(8, 3))
    x = torch.randn(96, 4)
    y = x[:, :3].argmax(1)
    logger, rates, speed = CSVLogger(folder / "log.csv", 5), LearningRateMonitor(5), Throughput(4, peak_flops=1e9)
    history = tessera.fit(
        net,
        (x, y),
        optimizer=AdamW(net, lr=cosine_decay(1e-2, 36)),
        epochs=3,
        batch_size=8,
        validation=(x[:16], y[:16]),
        metrics="accuracy",
        checkpoint=folder / "run",
        save_every=7,
        seed=1,
        callbacks=[logger, rates, speed, *([Crash(crash_at)] if crash_at else [])],
        progress=False,
    )
    return history, rates, speed


@pytest.mark.slow  # the default ones are those with a training made by hand
def test_a_crash_leaves_no_trace_in_the_log(tmp_path):
    whole, rates, speed = train(tmp_path / "whole")
    with pytest.raises(KeyError):
        train(tmp_path / "cut", crash_at=26)
    history, resumed_rates, resumed_speed = train(tmp_path / "cut")
    assert history.loss == whole.loss
    rows = table(tmp_path / "whole" / "log.csv")
    assert [int(row["step"]) for row in rows] == [5, 10, 12, 15, 20, 24, 25, 30, 35, 36]
    assert table(tmp_path / "cut" / "log.csv") == rows
    assert resumed_rates.lr == rates.lr == history.learning_rates
    assert rates.lr["lr"][0] == (5, pytest.approx(float(cosine_decay(1e-2, 36)(torch.tensor(4.0)))))
    assert speed.flops == resumed_speed.flops == 2 * (2 * 8 * 4 * 8) + 3 * (2 * 8 * 8 * 3)
    assert speed.records
    assert {record["step"] for record in resumed_speed.records} <= {record["step"] for record in speed.records}
