from __future__ import annotations

import torch

from tessera.train.callbacks.callback import Callback, EpochCallback
from tessera.train.history import History
from tessera.train.run import Run


def test_only_what_looks_at_epochs_watches_them():
    class Steps(Callback):
        every = 3

        def step(self, run):
            run.stop("enough")

    class Results(Callback):
        def measured(self, run, results):
            run.stop("enough")

    assert not Callback().watches_epochs
    assert not Steps().watches_epochs
    assert Results().watches_epochs
    assert EpochCallback(print).watches_epochs


def test_a_function_gets_the_history_and_stops_by_saying_so():
    run, seen = Run(torch.nn.Linear(1, 1), [], History()), []
    for answer in (None, False, 1, "yes"):
        EpochCallback(lambda history, answer=answer: seen.append(history) or answer).epoch(run)
        assert run.stopped == ""
    EpochCallback(lambda history: True).epoch(run)
    assert run.stopped == "a callback asked to stop"
    assert seen == [run.history] * 4
