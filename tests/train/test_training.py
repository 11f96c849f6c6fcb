from __future__ import annotations

import pytest
import torch

from tessera.errors import NonFiniteError
from tessera.train.batches import BatchReader
from tessera.train.early_stopping import EarlyStopping, Watch
from tessera.train.history import History
from tessera.train.pace import Pace
from tessera.train.source import source
from tessera.train.training import Training
from tessera.train.weights_folder import WeightsFolder

MODULE = torch.nn.Linear(1, 1)
X, Y = torch.randn(6, 1), torch.arange(6.0)


class FakeBar:
    def __init__(self):
        self.closed = []

    def close_epochs(self, epochs):
        self.closed.append([dict(epoch) for epoch in epochs])


class FakeLoop:
    """Counts steps; the loss of an epoch is its number."""

    def __init__(self):
        self.history, self.bar, self.pace, self.done, self.runs = History(), FakeBar(), Pace(), 0, []

    def run(self, pieces, steps_in_epoch):
        steps = sum(getattr(piece, "steps", 1) for piece in pieces)
        self.done += steps
        self.runs.append((steps, steps_in_epoch))
        for first in range(0, steps, steps_in_epoch or steps):
            number = float(len(self.history.epochs) + 1)
            count = min(steps_in_epoch or steps, steps - first)
            self.history.loss += [number] * count
            self.history.add_epochs([count], 0.0, {"loss": [number]})


def training(found=(X, Y), *, epochs=1, steps=None, validate=None, watch=None, folder=None, callbacks=()):
    data = source(found, BatchReader.of(MODULE), "training data", 2, shuffle=False)
    return Training(MODULE, FakeLoop(), data, epochs, steps, validate, watch, folder, callbacks)


def test_epochs_without_a_look_in_between_are_one_run():
    job = training(epochs=10)
    assert job.run().stopped == "10 epochs done"
    assert job.loop.runs == [(30, 3)]
    assert len(job.loop.bar.closed[0]) == 10


def test_every_epoch_of_a_stream_is_a_run():
    job = training([(X, Y)] * 4, epochs=2)
    assert job.run().stopped == "2 epochs done"
    assert job.loop.runs == [(4, None), (4, None)]


@pytest.mark.parametrize("found", [(X, Y), [(X, Y)] * 3])
def test_steps_count_instead_of_epochs(found):
    job = training(found, epochs=1, steps=7)
    assert job.run().stopped == "7 steps done"
    assert job.loop.done == 7
    assert [epoch["steps"] for epoch in job.loop.history.epochs] == [3, 3, 1]


def test_an_iterator_may_end_before_the_steps():
    job = training(iter([(X, Y)] * 3), steps=7)
    assert job.run().stopped == "the data ended after 3 of 7 steps"


def test_one_is_said_as_one():
    assert training().run().stopped == "1 epoch done"
    assert training(steps=1).run().stopped == "1 step done"


def test_validation_and_weights_after_every_epoch(tmp_path):
    losses = iter([3.0, 1.0, 2.0])
    job = training(epochs=3, validate=lambda: {"loss": next(losses)}, folder=WeightsFolder(tmp_path))
    history = job.run()
    assert history.validation == [{"loss": 3.0}, {"loss": 1.0}, {"loss": 2.0}]
    assert job.loop.runs == [(3, None)] * 3
    assert [epochs[0]["validation loss"] for epochs in job.loop.bar.closed] == [3.0, 1.0, 2.0]
    assert job.folder.best == 1.0
    assert (tmp_path / "best.safetensors").exists()


def test_early_stopping_by_validation():
    losses = iter([3.0, 1.0, 2.0, 2.0, 0.0])
    job = training(epochs=9, validate=lambda: {"loss": next(losses)}, watch=Watch(EarlyStopping(patience=2), MODULE))
    assert job.run().stopped == "no better loss for 2 epochs; the weights of epoch 2 are back"


def test_early_stopping_by_training_loss():
    job = training(epochs=9, watch=Watch(EarlyStopping(patience=1, restore_best=False), MODULE))
    assert job.run().stopped == "no better loss for 1 epoch"
    assert len(job.loop.history.epochs) == 2


def test_the_best_weights_come_back_at_the_end_as_well():
    losses = iter([1.0, 2.0])
    job = training(epochs=2, validate=lambda: {"loss": next(losses)}, watch=Watch(EarlyStopping(patience=5), MODULE))
    assert job.run().stopped == "2 epochs done; the weights of epoch 1 are back"


def test_callbacks_see_the_history_and_may_stop():
    seen = []
    first = lambda history: seen.append(len(history.epochs)) or True  # noqa: E731
    job = training(epochs=5, callbacks=(first, lambda history: seen.append("second")))
    assert job.run().stopped == "a callback asked to stop"
    assert seen == [1, "second"]


def test_what_a_callback_returns_otherwise_is_nothing():
    assert training(epochs=2, callbacks=(lambda history: 1,)).run().stopped == "2 epochs done"


def test_the_reason_is_kept_when_a_step_is_not_finite():
    job = training()

    def run(pieces, steps_in_epoch):
        raise NonFiniteError("The loss is nan.", "It is finite.", "Lower the learning rate.")

    job.loop.run = run
    with pytest.raises(NonFiniteError):
        job.run()
    assert job.loop.history.stopped == "The loss is nan. It is finite. Lower the learning rate."
