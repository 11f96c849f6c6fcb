"""Killed at each of its calls to the system, a save leaves the old state or the new one, never a mixture."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import time
from functools import partial

import pytest
import torch

from tessera.checkpoint import CheckpointManager, durable, latest, load, save
from tests.checkpoint.crashes import AFTER, BEFORE, HALFWAY, finished, forked
from tests.checkpoint.samples import same


def state(number: int) -> dict:
    generator = torch.Generator().manual_seed(number)
    model = {name: torch.randn(17, generator=generator) for name in "abc"}
    return {
        "model": model,
        "half": torch.full((9,), number, dtype=torch.bfloat16),
        "step": number,
        "name": f"s{number}",
    }


@pytest.mark.parametrize("when", [BEFORE, HALFWAY, AFTER])
def test_a_save_killed_at_any_call_leaves_the_old_or_the_new_state(tmp_path, monkeypatch, when):
    monkeypatch.setattr(durable, "_PIECE", 64)  # many writes
    save(tmp_path, **state(0))
    seen = set()
    for call in itertools.count(1):
        done = finished(lambda: save(tmp_path, **state(1)), kill_at=call, when=when)
        found = load(tmp_path)
        assert same(found, state(found["step"]))
        assert same(load(latest(tmp_path)), found)
        seen.add(found["step"])
        if done:
            break
        if found["step"] == 1:  # killed after the commit: begin again from the old one
            durable.remove_folder(latest(tmp_path))
    assert found["step"] == 1
    assert call > 20
    assert seen == {0, 1}


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path, when):
    save(tmp_path, **state(0))
    for call in itertools.count(1):
        if finished(lambda: save(tmp_path, **state(1)), kill_at=call, when=when):
            break
    save(tmp_path, **state(2))
    assert all(path.name.startswith("snapshot-") for path in tmp_path.iterdir())
    assert load(tmp_path)["step"] == 2


def training(folder, answer=None):
    """Trains with dropout and data of its own, saving every other step beside it; writes where it ended."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(20, 60), torch.nn.Dropout(0.5), torch.nn.Linear(60, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    data = torch.Generator().manual_seed(1)
    state = {"model": model, "optimizer": optimizer, "data": data}
    with CheckpointManager(folder, state, save_every=2, keep=2) as checkpoints:
        for step in range(checkpoints.resume() + 1, 41):
            model(torch.randn(8, 20, generator=data)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            checkpoints.step(step)
    if answer is not None:
        save(answer, model=model, optimizer=optimizer, data=data)


def killed_after(seconds, work):
    """Whether ``work`` ended in a child before that many seconds were over and it was killed."""
    child = forked(work)
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def survive(folder, kills):
    """Kills a run at random moments, resumes it each time, and compares its end with that of one left alone."""
    training(folder / "whole", folder / "expected")
    rng, killed = random.Random(0), 0
    for number in itertools.count():
        once = partial(training, folder / str(number), folder / "found")
        while not killed_after(rng.uniform(0.0, 0.15), once):
            killed += 1
        assert same(load(folder / "found"), load(folder / "expected"))
        if killed >= kills:
            return


def test_a_run_killed_at_random_moments_ends_as_one_left_alone(tmp_path):
    survive(tmp_path, 10)


@pytest.mark.slow
def test_a_run_killed_a_hundred_times_ends_as_one_left_alone(tmp_path):
    survive(tmp_path, 100)


class Counter:
    """State of a run, small."""

    def __init__(self):
        self.tensor = torch.zeros(40)

    def state_dict(self):
        return {"tensor": self.tensor, "twice": self.tensor * 2, "number": int(self.tensor[0])}

    def load_state_dict(self, state):
        assert torch.equal(state["tensor"] * 2, state["twice"])
        assert bool((state["tensor"] == state["number"]).all())
        self.tensor.copy_(state["tensor"])


def run(folder, steps):
    """Goes on from where it was; removals of old snapshots are among the calls at which it is killed."""
    counter = Counter()
    with CheckpointManager(folder, {"counter": counter}, save_every=1, keep=1) as checkpoints:
        done = checkpoints.resume()
        assert counter.tensor[0] == done
        for step in range(done + 1, steps + 1):
            counter.tensor += 1
            checkpoints.step(step)


def test_a_run_killed_at_any_call_resumes_from_its_last_snapshot(tmp_path):
    steps = 2
    for call in itertools.count(1):
        folder = tmp_path / str(call)
        done = finished(lambda folder=folder: run(folder, steps), kill_at=call)
        before = latest(folder)
        reached = 0 if before is None else load(folder)["counter"]["number"]
        run(folder, steps + 1)
        assert load(folder)["counter"]["number"] == steps + 1
        assert len(list(folder.iterdir())) == 1  # what was left half written or half removed is gone
        if done:
            break
    assert reached == steps
    assert call > 30
