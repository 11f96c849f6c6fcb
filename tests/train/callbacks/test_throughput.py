from __future__ import annotations

import logging

import pytest
import torch

from tessera.errors import SettingError
from tessera.train.batches import Batch
from tessera.train.callbacks.throughput import Throughput
from tests.train.callbacks.hand_made import Training

FLOPS = 2 * (2 * 4 * 3 * 2)  # of a step: the product forward, the gradient of the weight


def test_windows_without_the_first():
    measure = Throughput(every=5, peak_flops=1000.0)
    Training(steps=20, epoch_steps=100, seconds=lambda n: 60 if n == 1 else 0.5).run([measure])
    values = {"steps/s": 2.0, "samples/s": 8.0, "FLOP/s": 2.0 * FLOPS, "MFU": 2.0 * FLOPS / 1000}
    assert measure.records == [{"step": step, **values} for step in (10, 15, 20)]
    assert (measure.flops, measure.peak) == (FLOPS, (1000.0, "given"))


def test_the_median_is_that_of_the_windows():
    measure = Throughput(every=5, peak_flops=1000.0)
    Training(steps=30, epoch_steps=100, seconds=lambda n: 9 if n == 12 else 0.5).run([measure])
    assert measure.median["steps/s"] == 2.0
    assert min(record["steps/s"] for record in measure.records) < 1


def test_epochs_shorter_than_a_window():
    measure = Throughput(every=50, peak_flops=1.0)
    Training(steps=12, epoch_steps=4).run([measure])
    assert [(record["step"], record["steps/s"]) for record in measure.records] == [(8, 2.0), (12, 2.0)]


@pytest.mark.parametrize("validate_every", [4, 10])
def test_windows_with_validation_in_between(validate_every):
    measure = Throughput(every=4, peak_flops=1.0)
    Training(steps=40, epoch_steps=100, validate_every=validate_every).run([measure])
    assert [(record["step"], record["steps/s"]) for record in measure.records] == [(n, 2.0) for n in range(8, 41, 4)]


def test_tokens():
    class Tokens(Training):
        def _call(self, run, callbacks):
            run.batch = Batch((torch.ones(4, 7, dtype=torch.int64),), None)
            super()._call(run, callbacks)

    module = torch.nn.Sequential(torch.nn.Embedding(2, 3), torch.nn.Linear(3, 2))
    measure = Throughput(every=2, peak_flops=1e3)
    Tokens(steps=6, epoch_steps=100, module=module).run([measure])
    assert measure.median["tokens/s"] == 2.0 * 4 * 7
    # The embedding's gradient needs that of the linear layer's input: one product more.
    assert measure.flops == 3 * (2 * 4 * 7 * 3 * 2)


def test_a_processors_peak_is_measured():
    measure = Throughput(every=2)
    Training(steps=6, epoch_steps=100).run([measure])
    assert measure.peak.source.startswith("measured")
    assert measure.median["MFU"] > 0


def test_what_cannot_be_counted_is_left_out_and_said(caplog):
    class Branch(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else x

    measure = Throughput(every=2)
    with caplog.at_level(logging.INFO):
        Training(steps=6, epoch_steps=100, module=Branch(3, 2)).run([measure])
    assert set(measure.records[0]) == {"step", "steps/s", "samples/s"}
    assert measure.peak is None
    assert "FLOP/s and MFU are left out: the model's work could not be counted (" in caplog.text


def test_a_line_at_the_end_of_an_epoch(capsys):
    Training(steps=8, epoch_steps=4).run([Throughput(every=2, peak_flops=1e3, verbose=True)])
    assert capsys.readouterr().out == ("2 steps/s  8 samples/s  1.92e-07 GFLOP/s  19.2% MFU\n" * 2)


def test_it_is_silent_by_default(capsys):
    Training(steps=8, epoch_steps=4).run([Throughput(every=2, peak_flops=1e3)])
    assert not capsys.readouterr().out


def test_it_goes_on():
    def one():
        return Training(steps=20, epoch_steps=100, save_every=6)

    first, resumed = Throughput(every=4, peak_flops=1.0), Throughput(every=4, peak_flops=1.0)
    *_, last = one().run([first], die_after=15)
    one().run([resumed], since=last)
    assert [record["step"] for record in resumed.records] == [8, 12, 20]  # 16 is the first of its process


@pytest.mark.parametrize("peak", [0, -1.0, float("nan"), float("inf")])
def test_a_wrong_peak(peak):
    with pytest.raises(SettingError, match="^Throughput was given peak_flops="):
        Throughput(peak_flops=peak)
