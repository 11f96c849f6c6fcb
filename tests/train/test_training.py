from __future__ import annotations

import math
import signal

import pytest
import torch

from tessera.errors import NonFiniteError
from tessera.program import Report
from tessera.train.batches import BatchReader
from tessera.train.callbacks.callback import Callback, EpochCallback
from tessera.train.callbacks.checkpoint import Checkpoint
from tessera.train.early_stopping import EarlyStopping
from tessera.train.history import History
from tessera.train.labels import LabelCheck
from tessera.train.loop import Loop
from tessera.train.run import Run
from tessera.train.source import source
from tessera.train.tape import Tape
from tessera.train.training import Training

X, Y = torch.zeros(6, 1), torch.arange(6.0)


class FakeBar:
    def __init__(self):
        self.closed = []

    def advance(self, done, epoch, results):
        pass

    def close_epochs(self, epochs):
        self.closed.append([dict(epoch) for epoch in epochs])


class FakeStep:
    """The loss is how many steps there were; a label of NaN cannot be trained on."""

    def __init__(self, start=0):
        self.report, self.metrics, self.count, self.calls = Report("fake"), {}, start, []

    def __call__(self, *batch):
        if batch[-1].isnan().any():
            raise NonFiniteError("The loss is nan.", "It is finite.", "Lower the learning rate.")
        self.count += 1
        self.calls.append(1)
        return torch.tensor(float(self.count))

    def run(self, *stacked):
        steps = len(stacked[-1])
        self.calls.append(steps)
        self.count += steps
        return torch.arange(self.count - steps + 1.0, self.count + 1)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def training(found=(X, Y), *, epochs=1, steps=None, validate=None, validate_every=None, callbacks=()) -> Training:
    module = torch.nn.Linear(1, 1)
    data = source(found, BatchReader.of(module), "training data", 2, shuffle=False)
    history = History()
    run = Run(module, [], history)
    labels = LabelCheck(module, lambda prediction, target: prediction.sum())
    loop = Loop(run, lambda batch: FakeStep(), labels, FakeBar(), data.steps, Tape(history))
    return Training(run, loop, data, epochs, steps, validate, validate_every, callbacks)


class Recorder(Callback):
    """Everything that happens, with the step at which it did."""

    def __init__(self, every=None):
        self.every, self.seen = every, []

    def begin(self, run):
        self.seen.append(("begin", run.step))

    def step(self, run):
        assert run.history.loss[-1] == run.results["loss"] == run.step
        self.seen.append(("step", run.step))

    def measured(self, run, results):
        self.seen.append(("measured", run.step))

    def epoch(self, run):
        assert run.history.epochs[-1]["epoch"] == run.epoch
        self.seen.append(("epoch", run.step))

    def end(self, run):
        self.seen.append(("end", run.step))


def test_epochs_without_a_look_in_between_are_one_call():
    job = training(epochs=10)
    assert job().stopped == "10 epochs done"
    assert job.loop._step.calls == [1, 8, 21]
    assert len(job.loop.bar.closed[0]) == 10
    assert job.run.history.loss == [float(number) for number in range(1, 31)]


@pytest.mark.parametrize("found", [(X, Y), [(X, Y)] * 3])
def test_what_is_called_when(found):
    recorder = Recorder(every=2)
    job = training(found, epochs=2, callbacks=[recorder])
    assert job().stopped == "2 epochs done"
    assert recorder.seen == [
        ("begin", 0), ("step", 2), ("measured", 3), ("epoch", 3),
        ("step", 4), ("step", 6), ("measured", 6), ("epoch", 6), ("end", 6),
    ]  # fmt: skip


@pytest.mark.parametrize("found", [(X, Y), [(X, Y)] * 3])
def test_steps_count_instead_of_epochs(found):
    job = training(found, epochs=1, steps=7)
    assert job().stopped == "7 steps done"
    assert job.run.step == 7
    assert [epoch["steps"] for epoch in job.run.history.epochs] == [3, 3, 1]


def test_an_iterator_may_end_before_the_steps():
    assert training(iter([(X, Y)] * 3), steps=7)().stopped == "the data ended after 3 of 7 steps"


def test_one_is_said_as_one():
    assert training()().stopped == "1 epoch done"
    assert training(steps=1)().stopped == "1 step done"


def test_validation_after_every_epoch():
    losses = iter([3.0, 1.0, 2.0])
    job = training(epochs=3, validate=lambda: {"loss": next(losses)})
    history = job()
    assert history.validation == [{"loss": 3.0}, {"loss": 1.0}, {"loss": 2.0}]
    assert history.validation_steps == [3, 6, 9]
    assert [epochs[0]["validation loss"] for epochs in job.loop.bar.closed] == [3.0, 1.0, 2.0]


def test_validation_every_few_steps():
    recorder = Recorder()
    losses = iter([3.0, 1.0, 2.0, 5.0])
    job = training(epochs=3, validate=lambda: {"loss": next(losses)}, validate_every=2, callbacks=[recorder])
    history = job()
    assert history.validation_steps == [2, 4, 6, 8]
    assert [epoch["validation loss"] for epoch in history.epochs] == [3.0, 2.0, 5.0]
    assert [step for what, step in recorder.seen if what == "measured"] == [2, 4, 6, 8]


def test_early_stopping_by_validation():
    losses = iter([3.0, 1.0, 2.0, 2.0, 0.0])
    job = training(epochs=9, validate=lambda: {"loss": next(losses)}, callbacks=[EarlyStopping(patience=2)])
    assert job().stopped == "no better loss since epoch 2; the weights of epoch 2 are back"
    assert job.run.step == 12


def test_early_stopping_by_training_loss():
    job = training(epochs=9, callbacks=[EarlyStopping(patience=1, restore_best=False)])
    assert job().stopped == "no better loss since epoch 1"
    assert len(job.run.history.epochs) == 2


def test_the_best_weights_come_back_at_the_end_as_well():
    losses = iter([1.0, 2.0])
    job = training(epochs=2, validate=lambda: {"loss": next(losses)}, callbacks=[EarlyStopping(patience=5)])
    assert job().stopped == "2 epochs done; the weights of epoch 1 are back"


def test_functions_see_the_history_and_may_stop():
    seen = []
    first = lambda history: seen.append(len(history.epochs)) or True  # noqa: E731
    job = training(epochs=5, callbacks=[EpochCallback(first), EpochCallback(lambda history: seen.append("second"))])
    assert job().stopped == "a callback asked to stop"
    assert seen == [1, "second"]


def test_what_a_function_returns_otherwise_is_nothing():
    assert training(epochs=2, callbacks=[EpochCallback(lambda history: 1)])().stopped == "2 epochs done"


def test_a_callback_may_stop_between_two_steps():
    class Stop(Callback):
        every = 4

        def step(self, run):
            run.stop("enough")

    job = training(epochs=5, callbacks=[Stop()])
    history = job()
    assert history.stopped == "enough"
    assert history.loss == [1.0, 2.0, 3.0, 4.0]
    assert [epoch["steps"] for epoch in history.epochs] == [3, 1]


def test_an_error_is_told_and_what_was_trained_is_kept():
    ended = []

    class Ended(Callback):
        def end(self, run):
            ended.append(run.error)

    job = training([(X, Y), (X, Y), (X, Y * math.nan)], callbacks=[Ended()])
    with pytest.raises(NonFiniteError) as error:
        job()
    assert ended == [error.value]
    assert job.run.history.stopped.startswith("Step 3, epoch 1: The loss is nan.")
    assert job.run.history.loss == [1.0, 2.0]
    assert job.run.history.epochs[0]["steps"] == 2


class Signal(Callback):
    def __init__(self, number, step):
        self.number, self.every = number, step

    def step(self, run):
        if run.step == self.every:
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("found", [(X, Y), (X[:5], Y[:5]), [(X, Y)] * 3], ids=["in memory", "ragged", "stream"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 6, 11, 12])
@pytest.mark.parametrize("looks", [True, False])
def test_a_signal_ends_it_between_two_steps_and_it_goes_on_from_there(tmp_path, number, found, at, looks):
    def callbacks():
        return [Recorder(1)] if looks else []

    checkpoint = {"save_every": None if looks else 100}
    job = training(found, epochs=4, callbacks=[*callbacks(), Signal(number, at), Checkpoint(tmp_path, **checkpoint)])
    history = job()
    assert history.interrupted == number
    assert history.stopped == f"stopped by {'Ctrl-C' if number is signal.SIGINT else 'SIGTERM'}"
    assert history.loss == [float(step) for step in range(1, at + 1)]
    assert sum(epoch["steps"] for epoch in history.epochs) == at
    recorders = callbacks()
    again = training(found, epochs=4, callbacks=[*recorders, Checkpoint(tmp_path, **checkpoint)])
    history = again()
    for recorder in recorders:  # every epoch's end takes place once
        assert [step for what, step in recorder.seen if what == "epoch"] == [s for s in (3, 6, 9, 12) if s >= at]
    assert history.interrupted is None
    assert history.loss == [float(number) for number in range(1, 13)]
    assert [epoch["steps"] for epoch in history.epochs] == [3] * 4
    assert history.stopped == "4 epochs done"


@pytest.mark.parametrize("found", [(X, Y), [(X, Y)] * 3])
@pytest.mark.parametrize("save_every", [None, 1, 2, 3, 5])
@pytest.mark.parametrize("cut", range(1, 12))
def test_a_run_that_is_cut_anywhere_goes_on_from_its_last_snapshot(tmp_path, found, save_every, cut):
    class Cut(Callback):
        every = 1

        def step(self, run):
            if run.step == cut:
                raise SystemError

    def job(*callbacks):
        losses = iter([3.0, 1.0, 2.0, 0.5])
        watching = [*callbacks, Checkpoint(tmp_path, save_every=save_every)]
        return training(found, epochs=4, validate=lambda: {"loss": next(losses)}, callbacks=watching)

    with pytest.raises(SystemError):
        job(Cut())()
    second = job()
    second.validate = validation_after(second)
    history = second()
    assert history.loss == [float(number) for number in range(1, 13)]
    assert [epoch["steps"] for epoch in history.epochs] == [3] * 4
    assert [epoch["loss"] for epoch in history.epochs] == [2.0, 5.0, 8.0, 11.0]
    assert [epoch["validation loss"] for epoch in history.epochs] == [3.0, 1.0, 2.0, 0.5]
    assert history.validation_steps == [3, 6, 9, 12]


def validation_after(job: Training):
    """The result that belongs to an epoch, whichever epoch it begins with."""
    return lambda: {"loss": [3.0, 1.0, 2.0, 0.5][job.run.step // 3 - 1]}


@pytest.mark.parametrize("found", [(X, Y), [(X, Y)] * 3])
@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_no_loss_is_lost_when_nothing_but_the_signal_looks(tmp_path, found, at, monkeypatch):
    call = FakeStep.__call__

    def signalled(self, *batch):
        loss = call(self, *batch)
        if self.count == at:
            signal.raise_signal(signal.SIGTERM)
        return loss

    with monkeypatch.context() as patched:
        patched.setattr(FakeStep, "__call__", signalled)
        patched.setattr(FakeStep, "run", lambda self, *stacked: None)
        begun = training(found, epochs=4, callbacks=[Checkpoint(tmp_path)])().loss
        assert at <= len(begun) <= at + 8  # steps that belong to one call all end
        assert begun == list(range(1, len(begun) + 1))
    assert training(found, epochs=4, callbacks=[Checkpoint(tmp_path)])().loss == list(range(1, 13))


def test_a_signal_before_the_first_step_takes_none(tmp_path, monkeypatch):
    training(epochs=1, callbacks=[Checkpoint(tmp_path)])()
    resumed = training(epochs=2, callbacks=[Checkpoint(tmp_path)])

    def interrupted():
        signal.raise_signal(signal.SIGTERM)  # while it compiles
        return True

    monkeypatch.setattr(resumed.loop, "rehearse", interrupted)
    history = resumed()
    assert history.interrupted is signal.SIGTERM
    assert history.stopped == "stopped by SIGTERM"
    assert len(history.loss) == 3
    assert len(training(epochs=2, callbacks=[Checkpoint(tmp_path)])().loss) == 6


def test_a_finished_run_is_not_run_again(tmp_path):
    first = training(epochs=2, callbacks=[Checkpoint(tmp_path)])()
    job = training(epochs=2, callbacks=[Checkpoint(tmp_path)])
    again = job()
    assert again.loss == first.loss
    assert again.stopped == "2 epochs done"
    longer = training(epochs=3, callbacks=[Checkpoint(tmp_path)])()
    assert longer.loss == [float(number) for number in range(1, 10)]


def test_a_run_that_a_callback_stopped_stays_stopped(tmp_path):
    def job():
        return training(epochs=9, callbacks=[EarlyStopping(patience=1), Checkpoint(tmp_path)])

    first, again = job()(), job()()
    assert first.stopped == again.stopped == "no better loss since epoch 1; the weights of epoch 1 are back"
    assert first.loss == again.loss
