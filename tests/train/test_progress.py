from __future__ import annotations

import io
import re

import pytest
import torch
from rich.console import Console

from tessera.train import progress
from tessera.train.progress import ProgressBar

EPOCHS = [
    {"epoch": 1, "steps": 10, "seconds": 1.25, "loss": 0.5, "validation loss": 0.75},
    {"epoch": 2, "steps": 10, "seconds": 0.75, "loss": 0.25, "validation loss": 0.5},
]
LINES = ["epoch 1/2  loss 0.5  validation loss 0.75  1.2 s", "epoch 2/2  loss 0.25  validation loss 0.5  0.8 s"]


def shown(show: bool | None, *, terminal: bool, epochs: int | None = 2, width: int = 120) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width)
    with ProgressBar(show, epochs, 20, console) as bar:
        bar.advance(5, 1, {"loss": torch.tensor([0.9, 0.625]), "accuracy": torch.tensor(0.5)})
        bar.close_epochs(EPOCHS)
    return out.getvalue()


@pytest.mark.parametrize("show", [None, True])
def test_a_terminal_gets_a_moving_line_and_lines_that_stay(show):
    out = shown(show, terminal=True)
    assert "compiling" in out  # before the first step
    assert "epoch 1/2" in out
    assert "step 5/20" in out
    assert "loss 0.625  accuracy 0.5" in out
    assert all(line in out for line in LINES)


@pytest.mark.parametrize("width", [40, 60, 120])
def test_the_moving_line_is_one_line_however_narrow_the_terminal(width):
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown(True, terminal=True, width=width))
    lines = [line for part in plain.split("\n") for line in part.split("\r") if line.strip()]
    assert [line for line in lines if line not in LINES and not line.startswith(("compiling", "epoch 1/2"))] == []


def test_a_file_gets_lines_only_when_asked():
    assert shown(True, terminal=False).splitlines() == LINES
    assert shown(None, terminal=False) == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_silent(terminal):
    assert shown(False, terminal=terminal) == ""


def test_how_many_epochs_may_be_unknown():
    assert shown(True, terminal=False, epochs=None).splitlines()[0].startswith("epoch 1  loss 0.5")


def test_a_long_training_leaves_few_lines():
    out = io.StringIO()
    bar = ProgressBar(True, 1000, None, Console(file=out, width=120))
    bar.close_epochs([{**EPOCHS[0], "epoch": number} for number in range(1, 1001)])
    assert len(out.getvalue().splitlines()) == 20
    assert out.getvalue().splitlines()[-1].startswith("epoch 1000/1000")


def test_the_loss_is_read_ten_times_a_second_at_most(monkeypatch):
    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    class Loss(torch.Tensor):
        read = 0

        def item(self):
            Loss.read += 1
            return 0.5

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    with ProgressBar(True, 1, None, Console(file=io.StringIO(), force_terminal=True)) as bar:
        for step in range(1000):
            clock.now += 0.001
            bar.advance(step, 1, {"loss": torch.tensor(0.5).as_subclass(Loss)})
    assert Loss.read == 10
