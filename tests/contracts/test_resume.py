from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import tessera
from tessera.train import Callback

SCRIPT = Path(__file__).with_name("resumable.py")
STEPS, SNAPSHOTS = 4 * 17, 4 * 17 // 3


def start(folder: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), str(folder), str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE)


def finish(folder: Path, workers: int) -> tuple[list[float], str]:
    process = start(folder, workers)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    return json.loads((folder / "trace.json").read_text())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The trace of the run that nobody kills."""
    folder = tmp_path_factory.mktemp("whole")
    trace = finish(folder, 0)
    assert len(trace[0]) == STEPS
    return trace


def snapshots(folder: Path) -> int:
    """How many snapshots there have been."""
    return max((int(path.name.rpartition("-")[2]) for path in folder.glob("snapshot-*")), default=0)


def wait_for_snapshots(folder: Path, process: subprocess.Popen, number: int) -> None:
    while process.poll() is None and snapshots(folder) < number:
        time.sleep(0.002)


def killed_and_resumed(folder: Path, draw: random.Random) -> tuple[tuple[list[float], str], int]:
    """The trace of a run that is killed once or twice at random moments; and how many kills met it alive."""
    kills = 0
    for _ in range(draw.choice([1, 1, 2])):
        process = start(folder, draw.choice([0, 1, 2]))
        # Most of a process is its start, so moments are drawn among the snapshots.
        wait_for_snapshots(folder, process, snapshots(folder) + draw.randrange(SNAPSHOTS - 1))
        time.sleep(draw.expovariate(50))
        if process.poll() is None:
            kills += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return finish(folder, draw.choice([0, 1, 2])), kills


def test_a_killed_run_ends_as_if_nothing_had_been(uninterrupted, tmp_path):
    found, kills = killed_and_resumed(tmp_path, random.Random(0))
    assert kills
    assert found == uninterrupted


@pytest.mark.slow
def test_a_hundred_killed_runs_end_as_if_nothing_had_been(uninterrupted, tmp_path):
    def trial(seed: int) -> int:
        folder = tmp_path / str(seed)
        folder.mkdir()
        found, kills = killed_and_resumed(folder, random.Random(seed))
        assert found == uninterrupted, f"run {seed}"
        print(f"run {seed}: killed {kills} times, ended bit for bit as the run that was not", flush=True)
        return kills

    with ThreadPoolExecutor(2) as pool:
        kills = sum(pool.map(trial, range(100)))
    assert kills >= 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_the_run(uninterrupted, tmp_path, number):
    process = start(tmp_path, 1)
    wait_for_snapshots(tmp_path, process, 2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    assert b"ending after this step" in errors
    losses, _ = json.loads((tmp_path / "trace.json").read_text())
    assert losses == uninterrupted[0][: len(losses)]
    assert len(losses) < STEPS
    assert finish(tmp_path, 2) == uninterrupted


class Cut(Callback):
    def __init__(self, at):
        self.every = at

    def step(self, run):
        if run.step == self.every:
            raise SystemError


OPTIMIZERS = {
    "torch's SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "torch's AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2),
    "Lion by a schedule": lambda parameters: tessera.optim.Lion(parameters, lr=tessera.optim.cosine_decay(1e-3, 40)),
    "schedule-free AdamW": lambda parameters: tessera.optim.ScheduleFreeAdamW(parameters, lr=1e-2),
    "SOAP": lambda parameters: tessera.optim.SOAP(parameters, lr=1e-3),
}


@pytest.mark.parametrize(("name", "accumulate"), [("torch's AdamW", 3), ("Lion by a schedule", 1)])
def test_a_run_that_raises_goes_on_bit_for_bit(tmp_path, name, accumulate):
    goes_on_bit_for_bit(tmp_path, name, accumulate, [[3], [8, 15]])


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_kind_of_optimizer_goes_on_bit_for_bit(tmp_path, name, accumulate):
    goes_on_bit_for_bit(tmp_path, name, accumulate, [[1], [3], [7], [8, 15], [21], [27]])


def goes_on_bit_for_bit(tmp_path, name, accumulate, cuts):
    def run(folder, *callbacks):
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(64, 3)
        )
        x = torch.randn(50, 8)  # the last batch of an epoch is a smaller one, which compiles anew
        optimizer = OPTIMIZERS[name](module.parameters())
        history = tessera.fit(
            module, (x, x[:, :3].argmax(1)), optimizer=optimizer, epochs=4, batch_size=8, seed=0, save_every=1,
            accumulate=accumulate, checkpoint=folder, callbacks=callbacks,
        )  # fmt: skip
        return history.loss, [p.tolist() for p in module.parameters()], len(history.report.compilations)

    expected = run(None)
    for number, stops in enumerate(cuts):
        folder = tmp_path / str(number)
        for at in stops:
            with pytest.raises(SystemError):
                run(folder, Cut(at))
        assert run(folder) == expected, stops
