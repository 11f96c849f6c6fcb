from __future__ import annotations

import torch

from tessera.train.batches import Batch
from tessera.train.callbacks.stopwatch import Stopwatch
from tessera.train.history import History
from tessera.train.run import Run


def go_on(run, steps, seconds):
    run.step, run.samples, run.seconds = run.step + steps, run.samples + 8 * steps, run.seconds + seconds
    run.batch = Batch((torch.ones(8, 1),), None)


def test_laps_begin_after_the_first_steps():
    run, watch = Run(torch.nn.Linear(1, 1), [], History(), step=40), Stopwatch()
    assert watch.lap(run) is None
    go_on(run, 10, 60.0)  # compiling
    assert watch.lap(run) is None
    go_on(run, 10, 2.0)
    lap = watch.lap(run)
    assert (lap.steps, lap.samples, lap.seconds, lap.samples_per_second) == (10, 80, 2.0, 40.0)
    assert watch.lap(run) is None  # nothing was done since
