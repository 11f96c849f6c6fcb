from __future__ import annotations

import sys

import pytest
import torch

from tessera.errors import MissingDependencyError
from tessera.train.callbacks.tensorboard import TensorBoard
from tests.train.callbacks.hand_made import Training


def shown(folder):
    """What TensorBoard shows of a folder: tag -> step -> value."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()
    scalars = {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in tags["scalars"]}
    return scalars, {tag: [event.step for event in events.Histograms(tag)] for tag in tags["histograms"]}


def test_scalars(tmp_path):
    pytest.importorskip("tensorboard")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=0.25)
    training = Training(20, 10, validate_every=5, optimizers=[optimizer])
    training.run([TensorBoard(tmp_path / "run", every=4)])
    scalars, histograms = shown(tmp_path / "run")
    assert sorted(scalars) == [
        *("epoch/accuracy", "epoch/loss", "lr", "samples/s", "train/accuracy", "train/loss", "validation/loss"),
    ]
    assert scalars["validation/loss"] == {step: pytest.approx(2 * training.loss(step)) for step in (5, 10, 15, 20)}
    assert list(scalars["train/loss"]) == [4, 5, 8, 10, 12, 15, 16, 20]
    assert set(scalars["lr"].values()) == {0.25}
    assert not histograms


def test_a_resumed_training_shows_each_step_once(tmp_path):
    pytest.importorskip("tensorboard")
    settings = {"steps": 20, "epoch_steps": 10, "validate_every": 5, "save_every": 6}
    Training(**settings).run([TensorBoard(tmp_path / "whole", every=4)])
    *_, last = Training(**settings).run([TensorBoard(tmp_path / "cut", every=4)], die_after=17)
    assert last.step == 12
    Training(**settings).run([TensorBoard(tmp_path / "cut", every=4)], since=last)
    whole, cut = shown(tmp_path / "whole")[0], shown(tmp_path / "cut")[0]
    del whole["samples/s"], cut["samples/s"]
    assert cut == whole


def test_a_new_training_hides_an_old_one(tmp_path):
    pytest.importorskip("tensorboard")
    Training(20, 10).run([TensorBoard(tmp_path, every=2)])
    Training(4, 10).run([TensorBoard(tmp_path, every=4)])
    assert list(shown(tmp_path)[0]["train/loss"]) == [4]


def test_histograms_of_finite_weights(tmp_path):
    pytest.importorskip("tensorboard")
    module = torch.nn.Linear(3, 2).bfloat16()
    with torch.no_grad():
        module.weight[0, 0] = float("nan")
        module.bias.fill_(float("inf"))
    Training(19, 10, module=module).run([TensorBoard(tmp_path, every=3, histograms=5)])
    assert shown(tmp_path)[1] == {"weights/weight": [6, 12, 15]}


def test_everything_is_there_before_the_end(tmp_path):
    pytest.importorskip("tensorboard")
    Training(20, 10).run([TensorBoard(tmp_path, every=4)], die_after=8)
    assert list(shown(tmp_path)[0]["train/loss"]) == [4, 8]


def test_only_rank_0_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("tessera.train.callbacks.recorder.rank_of", lambda: 1)
    Training().run([TensorBoard(tmp_path / "run", every=1)])
    assert not list(tmp_path.iterdir())


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tessera\[tensorboard\]'"):
        Training().run([TensorBoard(tmp_path)])
