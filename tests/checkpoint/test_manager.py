from __future__ import annotations

import random
import threading

import pytest
import torch

from tessera.checkpoint import Best, CheckpointManager, latest, load, manager, save
from tessera.checkpoint.finding import snapshots
from tessera.errors import CheckpointError, ResumeError, SettingError, StateError


def run(folder, steps, stop_at=None, **settings):
    """A run with dropout, a schedule, a generator of its own and data that it draws; its losses by step."""
    torch.manual_seed(0)
    random.seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    data = torch.Generator().manual_seed(5)
    state = {"model": model, "optimizer": optimizer, "schedule": schedule, "data": data}
    losses = {}
    with CheckpointManager(folder, state, **{"save_every": 3, "keep": 2, **settings}) as checkpoints:
        for step in range(checkpoints.resume() + 1, steps + 1):
            x = torch.randn(6, 3, generator=data) * random.random()
            loss = model(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses[step] = loss.item()
            checkpoints.step(step, {"loss": loss.item()})
            if step == stop_at:
                break
    return losses, [value.clone() for value in model.state_dict().values()]


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("stop_at", [1, 3, 4, 8, 11])
def test_a_run_that_was_stopped_goes_on_bit_by_bit(tmp_path, stop_at, asynchronous):
    losses, weights = run(tmp_path / "whole", 12)
    before, _ = run(tmp_path / "cut", 12, stop_at, asynchronous=asynchronous)
    after, resumed = run(tmp_path / "cut", 12)
    assert min(after, default=13) == stop_at // 3 * 3 + 1
    assert before | after == losses
    assert all(torch.equal(a, b) for a, b in zip(weights, resumed, strict=True))


def test_the_last_and_the_best_are_kept(tmp_path):
    model = torch.nn.Linear(1, 1)
    with CheckpointManager(
        tmp_path, {"model": model}, save_every=2, keep=2, best=Best("accuracy", mode="max")
    ) as checkpoints:
        for step in range(1, 13):
            checkpoints.step(step, {"accuracy": {4: 0.9, 10: float("nan")}.get(step, 0.5)})
        checkpoints.wait()
        assert [path.name[-2:] for path in snapshots(tmp_path)] == ["02", "05", "06"]
        assert checkpoints.best() == snapshots(tmp_path)[0]
    assert CheckpointManager(tmp_path / "new", {"model": model}).best() is None


def test_steps_may_be_taken_several_at_once(tmp_path):
    with CheckpointManager(tmp_path, {"model": torch.nn.Linear(1, 1)}, save_every=10, keep=99) as checkpoints:
        assert checkpoints.steps_to_next(0) == 10
        for step in (4, 9, 13, 19, 20, 45, 49):
            checkpoints.step(step)
        assert checkpoints.steps_to_next(49) == 1
    assert [manager.read_manifest(path).step for path in snapshots(tmp_path)] == [13, 20, 45]
    assert CheckpointManager(tmp_path, {"model": torch.nn.Linear(1, 1)}).steps_to_next(3) is None


def test_a_save_begins_after_the_one_before(tmp_path, monkeypatch):
    gate, begun = threading.Event(), []
    real = manager.write_snapshot

    def slow(*arguments):
        begun.append(threading.current_thread())
        gate.wait()
        return real(*arguments)

    monkeypatch.setattr(manager, "write_snapshot", slow)
    model = torch.nn.Linear(1, 1)
    with CheckpointManager(tmp_path, {"model": model}) as checkpoints:
        checkpoints.save(1)
        assert begun[0] is not threading.current_thread()
        checkpoints.step(2)  # nothing is due: it does not wait
        assert snapshots(tmp_path) == []
        gate.set()
        checkpoints.save(3, wait=True)
        assert len(snapshots(tmp_path)) == 2


def test_state_that_cannot_be_saved_is_told_at_once(tmp_path):
    class Odd:
        def state_dict(self):
            return {"callback": print}

        def load_state_dict(self, state):
            pass

    checkpoints = CheckpointManager(tmp_path, {"odd": Odd()}, on_failure="continue")
    with pytest.raises(StateError, match="'odd.callback'"):
        checkpoints.save(1)
    checkpoints.close()
    assert not tmp_path.joinpath("snapshot-000001").exists()


def failing(folder):
    checkpoints = CheckpointManager(folder / "run", {"model": torch.nn.Linear(1, 1)})
    (folder / "run").write_text("in the way")
    checkpoints.save(1)
    return checkpoints


@pytest.mark.parametrize("look", [lambda c: c.save(2), lambda c: c.wait(), lambda c: c.close()])
def test_the_error_of_a_save_is_raised_wherever_the_run_looks(tmp_path, look):
    checkpoints = failing(tmp_path)
    with pytest.raises(CheckpointError, match="No snapshot could be written"):
        look(checkpoints)
    checkpoints.wait()


def test_the_error_of_a_save_does_not_hide_the_error_of_the_run(tmp_path):
    with pytest.raises(KeyError) as caught, failing(tmp_path):
        raise KeyError("mine")
    assert "No snapshot could be written" in caught.value.__notes__[0]
    (tmp_path / "again").mkdir()
    with pytest.raises(CheckpointError), failing(tmp_path / "again"):
        pass


def test_a_damaged_snapshot_gives_way_to_the_one_before(tmp_path, caplog):
    run(tmp_path, 9)
    newest = latest(tmp_path)
    next(newest.glob("*.safetensors")).unlink()
    after, _ = run(tmp_path, 9)
    assert min(after) == 7
    assert "Passed over" in caplog.text
    for path in snapshots(tmp_path):
        (path / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="None of the 3 snapshots"):
        run(tmp_path, 9)


def test_another_model_does_not_resume(tmp_path):
    run(tmp_path, 3)
    model = torch.nn.Linear(3, 1)
    checkpoints = CheckpointManager(
        tmp_path, {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=1.0)}
    )
    before = model.weight.detach().clone()
    with pytest.raises(ResumeError, match="model.class was 'torch.nn.modules.container.Sequential'"):
        checkpoints.resume()
    assert torch.equal(model.weight, before)


def test_other_data_does_not_resume(tmp_path):
    model = torch.nn.Linear(1, 1)
    data = torch.arange(10.0)
    with CheckpointManager(tmp_path, {"model": model}, data=data) as checkpoints:
        checkpoints.save(1)
    assert CheckpointManager(tmp_path, {"model": model}, data=data.clone()).resume() == 1
    with pytest.raises(ResumeError, match="data.array was"):
        CheckpointManager(tmp_path, {"model": model}, data=data + 1).resume()


def test_a_folder_of_something_else_does_not_resume(tmp_path):
    save(tmp_path, model=torch.nn.Linear(1, 1))
    with pytest.raises(ResumeError, match="was saved by tessera.checkpoint.save"):
        CheckpointManager(tmp_path, {"model": torch.nn.Linear(1, 1)}).resume()


def test_a_new_folder_begins_at_the_beginning(tmp_path):
    checkpoints = CheckpointManager(tmp_path / "a" / "b", {"model": torch.nn.Linear(1, 1)})
    assert checkpoints.resume() == 0
    assert checkpoints.resumed_from is None
    checkpoints.save(5, wait=True)
    assert load(tmp_path / "a" / "b").keys() == {"model", "rng"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"save_every": 0}, "save_every=0"),
        ({"save_every": 2.5}, "save_every=2.5"),
        ({"keep": 0}, "keep=0"),
        ({"keep": True}, "keep=True"),
        ({"on_failure": "ignore"}, "on_failure='ignore'"),
    ],
)
def test_settings_are_checked(tmp_path, settings, says):
    with pytest.raises(SettingError, match=says):
        CheckpointManager(tmp_path, {}, **settings)


@pytest.mark.parametrize(
    "state", [{"rng": random.Random()}, {"step": 3}, {"a.b": random.Random()}, {"c": torch.nn.Linear}]
)
def test_the_state_of_a_run_is_checked(tmp_path, state):
    with pytest.raises(StateError, match="state\\["):
        CheckpointManager(tmp_path, state)
