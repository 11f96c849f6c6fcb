from __future__ import annotations

import sys

import numpy as np
import pytest

from tessera.errors import MissingDependencyError
from tessera.train.history import History

pytest.importorskip("matplotlib")


def history(losses=(), epochs=(), validation=(), **others):
    """``epochs`` are pairs of steps and accuracy, ``validation`` of step and loss."""
    made = History(loss=list(losses), stopped="done", **others)
    for steps, accuracy in epochs:
        made.add_epochs([steps], 0.1, {"loss": [1.0], "accuracy": [accuracy]})
    for step, loss in validation:
        made.add_validation(step, {"loss": loss})
    return made


def drawn(axes, label):
    """The data of the line of that name."""
    (line,) = (line for line in axes.lines if line.get_label() == label)
    return line.get_xdata().tolist(), line.get_ydata().tolist()


def labels(axes):
    return [name for name in axes.get_legend_handles_labels()[1] if not name.startswith("_")]


def test_a_training():
    made = history(np.linspace(2, 1, 100), [(50, 0.5), (50, 0.75)], [(50, 1.5), (100, 1.25)])
    made.learning_rates = {"lr": [(1, 0.1), (100, 0.05)]}
    loss, accuracy, rate = made.plot(None).axes
    assert [axes.get_ylabel() for axes in (loss, accuracy, rate)] == ["loss", "accuracy", "learning rate"]
    assert labels(loss) == ["every step", "running mean", "validation", "lowest: 1.25 at step 100"]
    assert drawn(loss, "every step") == (list(range(1, 101)), pytest.approx(np.linspace(2, 1, 100)))
    assert drawn(loss, "running mean")[1][50] == pytest.approx(made.loss[50])
    assert drawn(loss, "validation") == ([50, 100], [1.5, 1.25])
    assert drawn(accuracy, "training, by epoch") == ([50, 100], [0.5, 0.75])
    assert rate.lines[0].get_xdata()[1] == 100
    assert made.plot(None).get_suptitle() == "done"


def test_the_picture_and_its_path(tmp_path, monkeypatch):
    made = history([2.0, 1.0])
    assert made.plot(tmp_path / "a.png") == tmp_path / "a.png"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    made.plot(tmp_path / "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text()
    monkeypatch.chdir(tmp_path)
    assert (tmp_path / made.plot()).name == "history.png"
    assert (tmp_path / "history.png").exists()


def test_pyplot_is_not_touched():
    sys.modules.pop("matplotlib.pyplot", None)
    history([2.0, 1.0]).plot(None)
    assert "matplotlib.pyplot" not in sys.modules


def test_steps_by_the_million_are_thinned_and_no_spike_is_lost(tmp_path):
    losses = np.linspace(3, 2, 1_000_000)
    losses[777_777] = 9.0
    made = history(losses, [(100_000, 0.5)] * 10)
    (axes, *_) = made.plot(None).axes
    (band,) = axes.collections
    points = band.get_paths()[0].vertices
    assert 4000 < len(points) < 10_000
    assert points[:, 1].max() == 9.0
    assert len(drawn(axes, "running mean")[0]) <= 4000
    made.plot(tmp_path / "history.png")


def test_losses_that_are_not_finite_are_marked():
    losses = [1.0, float("nan"), 0.5, float("inf"), 0.25, -float("inf")]
    (axes,) = history(losses, validation=[(3, float("nan")), (6, 0.5)]).plot(None).axes
    assert drawn(axes, "not finite: 3")[0] == [2, 4, 6]
    assert np.nanmax(drawn(axes, "every step")[1]) == 1.0


@pytest.mark.parametrize(
    "made",
    [
        history(),
        history([0.5]),
        history([float("nan")]),
        history([float("inf")] * 5000),
        history(validation=[(10, 0.5)]),
        history(validation=[(10, 0.5), (20, float("inf"))]),
        history([0.0] * 10),
        history([1e38, 1e-38]),
        history([-1.0, 1.0] * 100, [(200, float("nan"))]),
        history([1.0], [(1, 0.5)], [(1, 1.0)], learning_rates={"lr/0": [], "lr/1": [(1, 0.0)]}),
        history([1.0] * 500, [(1, 0.5)] * 500, [(n, 1.0) for n in range(1, 501)]),
    ],
    ids=["nothing", "one", "nan", "inf", "validation", "one good", "zeros", "wide", "negative", "rates", "epochs"],
)
def test_any_history_becomes_a_picture(tmp_path, made):
    assert made.plot(tmp_path / "history.png").stat().st_size > 1000


def test_without_a_step_the_picture_says_so():
    (axes,) = history().plot(None).axes
    assert [text.get_text() for text in axes.texts] == ["no step was taken"]


def test_the_scale():
    falling = history(np.exp(-np.arange(200) / 20)).plot(None).axes[0]
    assert falling.get_yscale() == "log"
    flat = history(np.linspace(3, 2, 200)).plot(None).axes[0]
    assert flat.get_yscale() == "linear"
    spiked = history(np.where(np.arange(200) == 77, 500.0, np.linspace(3, 2, 200)), validation=[(100, 5.0)])
    assert 5 < spiked.plot(None).axes[0].get_ylim()[1] < 10  # the spike leaves the picture, the validation stays in


def test_few_of_many_epochs_are_marked():
    made = history([1.0] * 400, [(10, 0.5)] * 40)
    (above,) = made.plot(None).axes[0].child_axes
    assert [label.get_text() for label in above.get_xticklabels()] == [str(n) for n in range(4, 41, 4)]
    assert above.get_xticks().tolist() == [float(n) for n in range(40, 401, 40)]


def test_text_is_taken_literally(tmp_path):
    made = history([1.0, 2.0], [(2, 0.5)])
    made.stopped = "$broken { " + "why " * 200
    made.metrics["cost in $ and $"] = [1.0]
    made.epochs[0]["cost in $ and $"] = 1.0
    made.plot(tmp_path / "history.png")
    assert len(made.plot(None).get_suptitle()) < 400


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"^History.plot was called.*pip install 'tessera\[plot\]'"):
        history([1.0]).plot()
