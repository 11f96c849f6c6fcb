from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import tessera
from tessera.errors import LabelError, NonFiniteError, NonFiniteStepError
from tessera.program import Precision, Report
from tessera.train.batches import Batch, Stack
from tessera.train.example_inputs import remembered_inputs
from tessera.train.history import History
from tessera.train.labels import LabelCheck
from tessera.train.loop import Loop
from tessera.train.outline import outline
from tessera.train.progress import ProgressBar
from tessera.train.run import Run
from tessera.train.tape import Tape

MODULE = torch.nn.Linear(1, 3)


class FakeStep:
    """Answers with the label as loss; a label that is not finite trains nothing and raises."""

    precision = Precision()

    def __init__(self, *, loops: bool = True):
        self.loops, self.report = loops, Report("fake")
        self.metrics: dict[str, torch.Tensor] = {}
        self.trained: list[float] = []
        self.calls: list[int] = []

    def __call__(self, *batch, **named):
        target = batch[-1]
        self.calls.append(1)
        if not math.isfinite(target[0]):
            raise NonFiniteError("The loss is nan.", "It is finite.", "Lower the learning rate.")
        self.trained.append(target[0].item())
        self.metrics = {"double": target[0] * 2}
        return target[0].clone()

    def run(self, *stacked):
        if not self.loops:
            return None
        losses = stacked[-1][:, 0].clone()
        self.calls.append(len(losses))
        stop = next((i for i, loss in enumerate(losses) if not loss.isfinite()), len(losses))
        self.trained += losses[:stop].tolist()
        self.metrics = {"double": losses[:stop] * 2}
        return losses[:stop]


class Running(Loop):
    """A loop that trains on all it is given, and closes what is then on its tape."""

    @property
    def history(self):
        return self.run.history

    def take(self, pieces, steps_in_epoch=None):
        self.steps_in_epoch = steps_in_epoch
        try:
            for _ in self.train(iter(pieces)):
                pass
        finally:
            self.close(several=True)


def loop(step, loss=None, module=MODULE) -> Running:
    labels = LabelCheck(module, loss or (lambda prediction, target: prediction.sum()))
    history = History()
    run = Run(module, [], history)
    return Running(run, lambda batch: step, labels, ProgressBar(False, 1, None), None, Tape(history))


def single(value: float) -> Batch:
    return Batch((torch.zeros(1, 1),), torch.tensor([value]))


def stack(*values: float) -> Stack:
    return Stack((torch.zeros(len(values), 1, 1),), torch.tensor(values).unsqueeze(1), len(values), 1)


@pytest.mark.parametrize("loops", [True, False])
def test_losses_and_metrics_are_those_of_every_step(loops):
    step = FakeStep(loops=loops)
    running = loop(step)
    running.take(([single(1.0), stack(2.0, 3.0, 4.0), single(5.0)]), None)
    assert running.history.loss == step.trained == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert running.history.metrics == {"double": [6.0]}
    assert running.run.step == 5
    assert step.calls == ([1, 3, 1] if loops else [1] * 5)
    assert running.history.report is step.report


def test_several_epochs_in_one_stack():
    running = loop(FakeStep())
    running.take(([stack(1.0, 3.0, 2.0, 4.0)]), 2)
    assert [epoch["loss"] for epoch in running.history.epochs] == [2.0, 3.0]


def test_the_step_is_made_once_and_the_inputs_are_remembered():
    made = []
    running = loop(None)
    running.make_step = lambda batch: made.append(FakeStep()) or made[0]
    running.take(([stack(1.0, 2.0)]), None)
    running.take(([single(3.0)]), None)
    assert len(made) == 1
    assert remembered_inputs(MODULE)[0].shape == (1, 1)
    assert len(running.history.epochs) == 2


@pytest.mark.parametrize("pieces", [[single(1.0), single(math.nan), single(3.0)], [stack(1.0, math.nan, 3.0)]])
def test_a_step_that_is_not_finite_ends_it(pieces):
    step = FakeStep()
    running = loop(step)
    with pytest.raises(NonFiniteStepError) as error:
        running.take((pieces), None)
    assert str(error.value) == "Step 2, epoch 1: The loss is nan. It is finite. Lower the learning rate."
    assert error.value.history is running.history
    assert running.history.loss == step.trained == [1.0]
    assert running.history.epochs[0]["steps"] == 1


def test_the_epoch_of_a_step_in_a_stack_of_several_is_said():
    running = loop(FakeStep())
    with pytest.raises(NonFiniteStepError, match="^Step 5, epoch 3: "):
        running.take(([stack(1.0, 2.0, 3.0), stack(4.0, math.inf)]), 2)


def test_a_step_that_is_finite_the_second_time_goes_on():
    class Random(FakeStep):
        def __call__(self, *batch, **named):
            return super().__call__(*batch[:-1], batch[-1].nan_to_num(7.0))

    running = loop(Random())
    running.take(([stack(1.0, math.nan, 3.0)]), None)
    assert running.history.loss == [1.0, 7.0, 3.0]


def test_inputs_by_keyword_are_passed_by_keyword():
    class Named(FakeStep):
        def __call__(self, *batch, **named):
            assert list(named) == ["x"]
            assert len(batch) == 1
            return super().__call__(*batch)

    named = Stack((torch.zeros(2, 1, 1),), torch.tensor([[1.0], [2.0]]), 2, 1, ("x",))
    running = loop(Named())
    running.take(([named]), None)
    assert running.history.loss == [1.0, 2.0]


def test_torchs_error_about_labels_is_explained():
    class Failing(FakeStep):
        def __call__(self, *batch, **named):
            raise IndexError("Target 7 is out of bounds.")

    running = loop(Failing(), torch.nn.functional.cross_entropy)
    good, bad = (Batch((torch.zeros(1, 1),), torch.tensor([label])) for label in (1, 7))
    with pytest.raises(IndexError, match="out of bounds"):
        running.take(([good]), None)
    running.labels.in_memory = {"training data": torch.tensor([1])}  # what is checked already is not checked again
    with pytest.raises(LabelError, match="^Batch 1 has labels that are out of range") as error:
        running.take(([bad]), None)
    assert isinstance(error.value.__context__, IndexError)


def test_a_failed_first_step_leaves_the_buffers():
    norm = torch.nn.BatchNorm1d(1)

    class Failing(FakeStep):
        def __call__(self, *batch, **named):
            norm(torch.randn(4, 1) + 2)
            raise RuntimeError

    running = loop(Failing(), module=norm)
    with pytest.raises(RuntimeError):
        running.take(([single(1.0)]), None)
    assert norm.running_mean == 0
    assert running.history.epochs == []


def test_a_rehearsal_that_fails_is_said(caplog):
    class Compiling(FakeStep):
        def __call__(self, *batch, **named):
            self.report.compilations.append(object())
            return super().__call__(*batch, **named)

    class Refusing(FakeStep):
        def __call__(self, *batch, **named):
            raise RuntimeError("zeros")

    for step, said in (
        (Compiling(), []),
        (Refusing(), ["RuntimeError: zeros"]),
        (FakeStep(), ["depends on the values"]),
    ):
        running = loop(step)
        running._compiled_for = [outline(single(1.0))]
        caplog.clear()
        assert running.rehearse()
        assert len(caplog.records) == len(said)
        assert all(words in caplog.text for words in said)


def test_a_resumed_run_decides_its_precision_by_a_batch_and_not_by_zeros(tmp_path, caplog):
    """Behind a layer whose outputs nearly cancel, low precision is lifted back for real batches, not for zeros."""
    draw = torch.Generator().manual_seed(1)
    x, y = 3000 + torch.randn(512, 256, generator=draw), torch.randn(512, 256, generator=draw)

    def weights(folder, steps):
        torch.manual_seed(0)
        layers = [nn.Linear(256, 512, bias=False), nn.BatchNorm1d(512), nn.GELU(), nn.Linear(512, 256)]
        net = nn.Sequential(*layers)
        optimizer = torch.optim.AdamW(net.parameters())
        options = {"batch_size": 128, "steps": steps, "checkpoint": folder, "precision": "auto", "progress": False}
        tessera.fit(net, (x, y), loss="mse", optimizer=optimizer, epochs=4, seed=3, **options)
        return net.state_dict()

    whole = weights(tmp_path / "whole", 4)
    weights(tmp_path / "parts", 2)
    assert "decided anew" not in caplog.text
    resumed = weights(tmp_path / "parts", 4)
    assert "decided anew" in caplog.text
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
