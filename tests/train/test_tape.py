from __future__ import annotations

import pytest
import torch

from tessera.errors import SettingError
from tessera.train.history import History
from tessera.train.tape import Tape


def taped() -> tuple[Tape, History]:
    history = History()
    return Tape(history), history


def test_losses_of_single_steps_and_stacks():
    tape, history = taped()
    tape.add({"loss": torch.tensor(4.0)}, 1, 8)
    tape.add({"loss": torch.tensor([3.0, 2.0])}, 2, 8)
    tape.close(3, 6.0)
    assert history.loss == [4.0, 3.0, 2.0]
    assert history.epochs == [{"epoch": 1, "steps": 3, "seconds": 6.0, "loss": 3.0}]


def test_means_are_weighted_by_samples():
    tape, history = taped()
    tape.add({"loss": torch.tensor(1.0), "accuracy": torch.tensor(0.5)}, 1, 3)
    tape.add({"loss": torch.tensor(5.0), "accuracy": torch.tensor(1.0)}, 1, 1)
    tape.close(2, 1.0)
    assert history.epochs[0]["loss"] == 2.0
    assert history.metrics == {"accuracy": [0.625]}


def test_several_epochs_at_once_the_last_cut_short():
    tape, history = taped()
    tape.add({"loss": torch.arange(7.0)}, 7, 2)
    tape.close(3, 7.0)
    assert [epoch["loss"] for epoch in history.epochs] == [1.0, 4.0, 6.0]
    assert [epoch["steps"] for epoch in history.epochs] == [3, 3, 1]
    assert [epoch["seconds"] for epoch in history.epochs] == [3.0, 3.0, 1.0]
    tape.add({"loss": torch.tensor(9.0)}, 1, 2)
    tape.close(3, 1.0)
    assert history.epochs[3] == {"epoch": 4, "steps": 1, "seconds": 1.0, "loss": 9.0}


def test_a_metric_may_speak_for_a_stack_or_be_missing():
    tape, history = taped()
    tape.add({"loss": torch.tensor(1.0)}, 1, 2)
    tape.add({"loss": torch.ones(3), "grad_norm": torch.tensor(2.0)}, 3, 2)
    tape.add({"loss": torch.tensor(1.0), "grad_norm": torch.tensor(6.0)}, 1, 2)
    tape.close(5, 1.0)
    assert history.metrics == {"grad_norm": [3.0]}


def test_many_steps_are_read_on_the_way():
    tape, history = taped()
    for step in range(3000):
        late = {"late": torch.tensor(1.0)} if step >= 2500 else {}
        tape.add({"loss": torch.tensor(float(step)), **late}, 1, 1)
        assert len(tape._pending) < 1024
    tape.close(3000, 1.0)
    assert history.loss == list(range(3000))
    assert history.metrics == {"late": [1.0]}


def test_a_metric_of_another_shape():
    with pytest.raises(SettingError) as error:
        taped()[0].add({"loss": torch.tensor(1.0), "error": torch.zeros(4)}, 1, 4)
    assert str(error.value) == (
        "The metric 'error' returned a tensor of shape [4]. A metric returns one number for a batch, a 0-d tensor. "
        "Reduce it, for example with .mean()."
    )


def test_a_metric_that_comes_and_goes_keeps_its_place():
    tape, history = taped()
    for number, results in enumerate([{"late": torch.tensor(1.0)}, {}, {"late": torch.tensor(3.0)}, {}]):
        tape.add({"loss": torch.tensor(float(number)), **results}, 1, 1)
        tape.read()
        assert tape.last() == {"loss": float(number)} | ({"late": number + 1.0} if results else {})
    tape.close(2, 4.0)
    assert [epoch["late"] for epoch in history.epochs] == [1.0, 3.0]
    assert history.loss == [0.0, 1.0, 2.0, 3.0]


def test_the_running_epoch_is_saved_and_taken_over():
    whole, part = taped()[0], taped()[0]
    for number in range(5):
        results = {"loss": torch.tensor(float(number))} | ({"late": torch.tensor(2.0)} if number == 2 else {})
        whole.add(results, 1, number + 1)
        part.add(results, 1, number + 1)
        if number % 2:
            state = part.state_dict()
            part = Tape(History(loss=list(part.history.loss)))
            part.load_state_dict(state)
    assert part.steps == whole.steps == 5
    whole.close(None, 1.0)
    part.close(None, 1.0)
    assert part.history == whole.history
    assert part.steps == 0
