"""A disk that is full at any write: the last good snapshot stays, nothing is left behind, the run does as told."""

from __future__ import annotations

import errno
import itertools
import os

import pytest
import torch

from tessera.checkpoint import CheckpointManager, durable, latest, load, save
from tessera.errors import CheckpointError
from tests.checkpoint.samples import same

# A full disk refuses what needs a block; names can be changed and removed.
NEEDS_ROOM = ("write", "fsync", "mkdir", "open")


@pytest.fixture
def full_at(monkeypatch):
    """Makes the disk full from one call on, until the test makes room again by passing 0."""
    state = {"left": 0, "full": False, "hit": False}

    def wrapped(name, real):
        def call(*args, **named):
            creates = name != "open" or (len(args) > 1 and args[1] & os.O_CREAT)
            if creates and state["left"]:
                state["left"] -= 1
                state["full"] = state["left"] == 0
            if creates and state["full"]:
                state["hit"] = True
                if name == "write" and len(args[1]) > 1:  # as a disk does it: first a part, then nothing
                    state["full"], state["left"] = False, 1
                    return real(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **named)

        return call

    for name in NEEDS_ROOM:
        monkeypatch.setattr(os, name, wrapped(name, getattr(os, name)))

    def begin(number):
        was_hit = state["hit"]
        state.update(left=number, full=False, hit=False)
        return was_hit

    return begin


def state(number):
    return {"model": {name: torch.full((33,), float(number)) for name in "ab"}, "step": number}


def test_a_save_on_a_disk_that_is_full_at_any_call(tmp_path, monkeypatch, full_at):
    monkeypatch.setattr(durable, "_PIECE", 64)
    save(tmp_path, **state(0))
    for call in itertools.count(1):
        full_at(call)
        errors = []
        try:
            save(tmp_path, **state(call))
        except CheckpointError as error:
            errors.append(error)
        hit = full_at(0)
        assert [isinstance(error.__cause__, OSError) and "No space left" in str(error) for error in errors] == [
            True
        ] * hit
        found = load(tmp_path)
        if hit and found["step"] == 0:  # else it was full only after the commit, where the name was to be synced
            assert [path.name for path in tmp_path.iterdir()] == ["snapshot-000001"]
        assert same(found, state(found["step"]))
        if found["step"]:
            break
    assert call > 10


class Model:
    def __init__(self):
        self.tensor = torch.zeros(20)

    def state_dict(self):
        return {"tensor": self.tensor}

    def load_state_dict(self, state):
        self.tensor.copy_(state["tensor"])


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_run_stops_when_asked(tmp_path, full_at, asynchronous):
    model = Model()
    checkpoints = CheckpointManager(tmp_path, {"model": model}, save_every=1, asynchronous=asynchronous)
    checkpoints.step(1)
    checkpoints.wait()
    full_at(3)
    with pytest.raises(CheckpointError, match="No space left"):  # noqa: PT012 - which of the two is the point
        checkpoints.step(2)
        checkpoints._background._job.thread.join()
        checkpoints.step(3)
    full_at(0)
    checkpoints.wait()  # an error is raised once
    assert load(tmp_path)["model"]["tensor"].sum() == 0
    assert CheckpointManager(tmp_path, {"model": model}).resume() == 1


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_run_goes_on_when_asked(tmp_path, full_at, asynchronous):
    model = Model()
    with CheckpointManager(
        tmp_path, {"model": model}, save_every=1, keep=2, asynchronous=asynchronous, on_failure="continue"
    ) as checkpoints:
        for step in range(1, 6):
            model.tensor += 1
            checkpoints.wait()
            full_at(4 if step in {3, 4} else 0)
            checkpoints.step(step)
    full_at(0)
    assert [str(error).count("No space left") for error in checkpoints.failures] == [1, 1]
    assert load(latest(tmp_path))["model"]["tensor"][0] == 5
    assert len(list(tmp_path.iterdir())) == 2
