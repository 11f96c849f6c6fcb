from __future__ import annotations

import sys
import time

import pytest
import torch

from tessera.data import Loader, arrays, inspect
from tessera.data.inspection import Inspection
from tessera.data.timings import Timings
from tessera.errors import MissingDependencyError
from tests.data.functions import double, slow


def test_the_stage_that_starves_the_step_is_named():
    loader = Loader(arrays(torch.arange(40)).map(double).map(slow), 4)
    found = inspect(loader, 3)
    assert found.slowest == "map slow"
    assert found.starved > 0.9
    lines = str(found).splitlines()
    assert lines[0].split() == ["stage", "samples", "us/sample", "share"]
    assert [line.split("  ")[0] for line in lines[1:-1]] == [
        *("order", "read", "map double", "map slow", "collate", "wait", "your step")
    ]
    assert "with no workers; map slow (" in lines[-1]
    assert "functions.py:" in lines[-1]


def test_a_slow_step_is_not_starved():
    loader = Loader(torch.arange(40), 4)
    for _ in loader:
        time.sleep(0.005)
    found = inspect(loader)
    assert found.starved < 0.5
    assert found.timings.samples["your step"] == 40  # what has run counts, nothing is read again


def test_the_verdict_when_data_is_not_the_limit():
    timings = Timings()
    timings.add("read", 0.5, 100)
    timings.add("wait", 0.01, 100)
    timings.add("your step", 1.0, 100)
    text = str(Inspection(timings, {}, 2, "process", "2 process workers"))
    assert text.endswith("The step waits for data 1% of the time with 2 process workers: data is not what limits it.")
    assert "5,000.0" in text
    assert "100%" in text


def test_a_loader_that_has_not_run_is_tried():
    loader = Loader(torch.arange(1000), 4)
    assert inspect(loader).timings.samples["read"] == 64
    assert len(list(loader)) == 250


@pytest.mark.parametrize("position", [0, 12])
def test_trying_changes_no_order(position):
    loader, other = (Loader(torch.arange(200), 4) for _ in range(2))
    for one in (loader, other):
        one.seek(2, position)
    before = loader.state_dict()
    assert inspect(loader).timings.samples["read"] == 64
    assert loader.state_dict() == before
    assert torch.equal(torch.cat(list(loader)), torch.cat(list(other)))
    for one in (loader, other):
        next(iter(one))
    inspect(loader, 3)
    assert torch.equal(torch.cat(list(loader)), torch.cat(list(other)))


def test_the_costs_of_workers_are_seen():
    with Loader(arrays(torch.arange(40)).map(slow), 4, workers=2) as loader:
        list(loader)
        assert inspect(loader).timings.seconds["map slow"] > 0.4
        assert "with 2 process workers; map slow" in str(inspect(loader))


def test_a_plot(tmp_path):
    pytest.importorskip("matplotlib")
    figure = inspect(Loader(torch.arange(40), 4)).plot(tmp_path / "costs.png")
    assert (tmp_path / "costs.png").read_bytes().startswith(b"\x89PNG")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["order", "read", "wait", "your step"]


def test_a_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="^matplotlib is not installed"):
        inspect(Loader(torch.arange(40), 4)).plot()
