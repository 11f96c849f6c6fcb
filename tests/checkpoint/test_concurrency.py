"""Several savers, and readers beside them: every snapshot is one of those that were saved, whole."""

from __future__ import annotations

import multiprocessing
import threading

import torch

from tessera.checkpoint import CheckpointManager, latest, load, save
from tessera.checkpoint.finding import snapshots


def state(saver: int, number: int) -> dict:
    return {
        "model": {name: torch.full((500,), saver * 1000.0 + number) for name in "abc"},
        "saver": saver,
        "at": number,
    }


def is_whole(found: dict) -> bool:
    expected = found["saver"] * 1000.0 + found["at"]
    return all(bool((tensor == expected).all()) for tensor in found["model"].values())


def save_many(folder, saver, times):
    for number in range(times):
        save(folder, **state(saver, number))


def test_threads_save_into_one_folder(tmp_path):
    threads = [threading.Thread(target=save_many, args=(tmp_path, saver, 8)) for saver in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [load(path) for path in snapshots(tmp_path)]
    assert len(found) == 32
    assert all(map(is_whole, found))
    assert {(one["saver"], one["at"]) for one in found} == {(s, n) for s in range(4) for n in range(8)}


def save_as_a_run(folder, times):
    run = Constant()
    with CheckpointManager(folder, {"run": run}, keep=2) as checkpoints:
        for number in range(times):
            run.number = number
            checkpoints.save(number)


class Constant:
    number = 0

    def state_dict(self):
        return state(1, self.number)

    def load_state_dict(self, state):
        self.number = state["at"]


def test_a_reader_beside_a_run_that_removes_old_snapshots(tmp_path):
    run = threading.Thread(target=save_as_a_run, args=(tmp_path, 60))
    save(tmp_path, run=state(1, 0))
    run.start()
    seen = []
    while run.is_alive():
        found = load(tmp_path)["run"]
        assert is_whole(found)
        seen.append(found["at"])
        assert latest(tmp_path) is not None
    run.join()
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert load(tmp_path)["run"]["at"] == 59


def test_two_processes_save_into_one_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    savers = [context.Process(target=save_many, args=(tmp_path, saver, 10)) for saver in range(2)]
    for saver in savers:
        saver.start()
    while any(saver.is_alive() for saver in savers):
        if (path := latest(tmp_path)) is not None:
            assert is_whole(load(path))
    for saver in savers:
        saver.join()
        assert saver.exitcode == 0
    assert len(snapshots(tmp_path)) == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"snapshot-{n:06d}" for n in range(1, 21)]


def test_a_change_after_the_save_has_begun_is_not_in_it(tmp_path):
    model = torch.nn.Linear(300, 300)
    history = {"loss": [0.5], "sizes": torch.ones(3)}

    class Run:
        def state_dict(self):
            return {"model": model.state_dict(), "history": history}

        def load_state_dict(self, state):
            pass

    with CheckpointManager(tmp_path, {"run": Run()}, keep=9) as checkpoints:
        for number in range(4):
            with torch.no_grad():
                model.weight.fill_(number)
            history["loss"].append(float(number))
            checkpoints.save(number)
            with torch.no_grad():
                model.weight.fill_(-1)
            history["sizes"].fill_(-1)
            history["loss"].append(-1.0)
            history["sizes"].fill_(1)
    for number, path in enumerate(snapshots(tmp_path)):
        found = load(path)["run"]
        assert bool((found["model"]["weight"] == number).all())
        assert found["history"]["loss"][-1] == number
        assert bool((found["history"]["sizes"] == 1).all())
