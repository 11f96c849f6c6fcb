from __future__ import annotations

import json
import time

import pytest
import torch
from safetensors.torch import load_file

from tessera.checkpoint import Best, inspect, load
from tessera.errors import CheckpointError, SettingError, WeightsError
from tessera.program import Report
from tessera.train.callbacks.checkpoint import Checkpoint
from tessera.train.history import History
from tessera.train.run import Run


def opened(folder, **options) -> tuple[Checkpoint, Run, list]:
    """A callback with a run of one weight; the list tells whether a rehearsal was asked for."""
    run, rehearsed = Run(torch.nn.Linear(1, 1), [], History(report=Report("step"))), []
    checkpoint = Checkpoint(folder, **options)
    checkpoint.open({"model": run.module, "history": run.history}, lambda: bool(rehearsed.append(1)))
    return checkpoint, run, rehearsed


def advance(checkpoint: Checkpoint, run: Run, steps: int = 1) -> None:
    for _ in range(steps):
        run.step += 1
        with torch.no_grad():
            run.module.weight.fill_(run.step)
        if checkpoint.every and run.step % checkpoint.every == 0:
            checkpoint.step(run)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("snapshot-*"))


def test_a_run_is_saved_and_goes_on(tmp_path):
    checkpoint, run, rehearsed = opened(tmp_path, save_every=2, keep=2)
    assert rehearsed == []
    advance(checkpoint, run, 7)
    checkpoint.end(run)
    assert len(names(tmp_path)) == 2
    assert run.history.checkpoint.name == names(tmp_path)[-1]
    assert load_file(tmp_path / "last.safetensors")["weight"].item() == 7
    assert json.loads((tmp_path / "report.json").read_text())["subject"] == "step"
    again, after, rehearsed = opened(tmp_path)
    assert after.module.weight.item() == 7
    assert rehearsed == [1]
    after.step = 7
    again.end(after)
    assert len(names(tmp_path)) == 2  # there is nothing new to save


def test_a_rehearsal_that_changes_things_is_undone(tmp_path):
    checkpoint, run, _ = opened(tmp_path, save_every=1)
    advance(checkpoint, run)
    checkpoint.end(run)
    module = torch.nn.Linear(1, 1)

    def rehearse():
        with torch.no_grad():
            module.weight.fill_(99)
        return True

    Checkpoint(tmp_path).open({"model": module, "history": History()}, rehearse)
    assert module.weight.item() == 1


def test_resume_false_begins_anew(tmp_path):
    checkpoint, run, _ = opened(tmp_path, save_every=1)
    advance(checkpoint, run)
    checkpoint.end(run)
    _, after, rehearsed = opened(tmp_path, resume=False)
    assert after.module.weight.item() != 1
    assert rehearsed == []


def test_an_error_saves_nothing_new(tmp_path):
    checkpoint, run, _ = opened(tmp_path, save_every=2)
    advance(checkpoint, run, 3)
    run.error = KeyError()
    checkpoint.end(run)
    assert inspect(run.history.checkpoint).step == 2
    assert not (tmp_path / "last.safetensors").exists()


def test_short_epochs_are_not_all_saved(tmp_path):
    checkpoint, run, _ = opened(tmp_path)
    assert checkpoint.watches_epochs
    assert not Checkpoint(tmp_path, save_every=3).watches_epochs
    began, saved = time.perf_counter(), 0
    while time.perf_counter() - began < 0.5:
        advance(checkpoint, run)
        before = checkpoint._saved_step
        checkpoint.epoch(run)
        saved += checkpoint._saved_step != before
    checkpoint.end(run)
    assert 1 <= saved < run.step / 10


def test_the_best_of_short_epochs_are_kept(tmp_path):
    checkpoint, run, _ = opened(tmp_path, keep=1, best=Best("loss", keep=2))
    for loss in (3.0, 1.0, 2.0, 4.0):
        advance(checkpoint, run)
        run.history.add_validation(run.step, {"loss": loss})
        checkpoint.epoch(run)
    checkpoint.end(run)
    assert [inspect(tmp_path / name).step for name in names(tmp_path)] == [2, 3, 4]


def test_the_best_weights_are_kept(tmp_path):
    checkpoint, run, _ = opened(tmp_path, save_every=1, best=Best("loss"), keep=1)
    for loss in (3.0, 1.0, 2.0):
        advance(checkpoint, run)
        run.history.add_validation(run.step, {"loss": loss})
        checkpoint.measured(run, {"loss": loss})
        run.step += 1
        run.history.validation_steps[-1] = run.step
        checkpoint.step(run)
    checkpoint.end(run)
    assert load_file(tmp_path / "best.safetensors")["weight"].item() == 3  # of the second validation
    assert [inspect(tmp_path / name).step for name in names(tmp_path)] == [4, 6]
    again, after, _ = opened(tmp_path)
    after.history.validation = [{"loss": 1.5}]
    again.measured(after, {"loss": 1.5})  # it knows that there was a better one
    assert load_file(tmp_path / "best.safetensors")["weight"].item() == 3


def test_training_results_are_no_candidates(tmp_path):
    checkpoint, run, _ = opened(tmp_path)
    checkpoint.measured(run, {"loss": 1.0})
    assert not (tmp_path / "best.safetensors").exists()


def test_a_full_disk_ends_the_run_or_is_said(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for on_failure in ("raise", "continue"):
        folder = tmp_path / on_failure
        checkpoint, run, _ = opened(folder, save_every=1, on_failure=on_failure)
        advance(checkpoint, run)
        checkpoint._manager.wait()
        with monkeypatch.context() as patched:
            patched.setattr("os.write", full)
            patched.setattr("os.writev", full)
            if on_failure == "raise":
                with pytest.raises(CheckpointError, match="No space left"):
                    advance(checkpoint, run, 2)
            else:
                advance(checkpoint, run, 2)
                checkpoint._manager.wait()
        assert inspect(folder).step == 1


class Counting(torch.nn.Linear):
    """Has a state that is no tensor."""

    def get_extra_state(self):
        return {"seen": 3}

    def set_extra_state(self, state):
        self.seen = state["seen"]


def test_state_that_no_file_of_weights_holds_is_in_the_snapshots(tmp_path, caplog):
    checkpoint = Checkpoint(tmp_path)
    run = Run(Counting(1, 1), [], History(report=Report("step")), step=1)
    checkpoint.open({"model": run.module}, bool)
    checkpoint.end(run)
    assert "last.safetensors was not written" in caplog.text
    assert load(tmp_path)["model"]["_extra_state"] == {"seen": 3}


def test_weights_and_report_on_a_full_disk(tmp_path, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for on_failure in ("raise", "continue"):
        checkpoint, run, _ = opened(tmp_path / on_failure, on_failure=on_failure)
        with monkeypatch.context() as patched:
            patched.setattr("tessera.nn.weights_file.save_file", full)
            patched.setattr("pathlib.Path.write_text", full)
            run.step = 1
            if on_failure == "raise":
                with pytest.raises(WeightsError, match="No space left"):
                    checkpoint.end(run)
            else:
                checkpoint.end(run)
                assert "last.safetensors was not written" in caplog.text
        assert "report.json was not written" in caplog.text
        assert inspect(tmp_path / on_failure).step == 1


@pytest.mark.parametrize("options", [{"save_every": 0}, {"keep": 0}, {"on_failure": "ignore"}])
def test_settings_are_checked_when_they_are_made(tmp_path, options):
    with pytest.raises(SettingError):
        Checkpoint(tmp_path, **options)


def test_a_place_that_is_no_folder_is_told_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("a user's own")
    with pytest.raises(CheckpointError, match="cannot be a folder: (File exists|Not a directory)"):
        opened(tmp_path / "file")
    with pytest.raises(CheckpointError, match="cannot be a folder: Not a directory"):
        opened(tmp_path / "file" / "a")
    assert (tmp_path / "file").read_text() == "a user's own"
