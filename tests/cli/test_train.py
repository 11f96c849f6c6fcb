from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tessera.cli.main import main


def train(project, *arguments: str) -> int:
    return main(["train", str(project / "run.toml"), *arguments])


def weights(folder) -> bytes:
    return (folder / "last.safetensors").read_bytes()


def test_the_same_command_goes_on(project, capsys):
    assert train(project, "--set", "fit.epochs=1") == 0
    assert train(project) == 0
    assert train(project) == 0
    shown = capsys.readouterr().out.splitlines()
    folder = project / "runs" / "run"
    assert [line for line in shown if line.startswith("checkpoint")] == [
        f"checkpoint: {folder}, {how}" for how in ("nothing saved yet", "goes on after step 1", "goes on after step 2")
    ]
    assert shown[-1] == "2 epochs done"
    assert train(project, "--set", "fit.checkpoint='whole'") == 0
    assert weights(folder) == weights(project / "whole")
    assert main(["report", str(folder)]) == 0
    assert "training step of Net" in capsys.readouterr().out


def test_a_dry_run_changes_nothing(project, capsys):
    before = sorted(project.rglob("*.*"))
    assert train(project, "--dry-run", "--fresh", "--set", "fit.epochs=5") == 0
    assert "5; 5 x 1" in capsys.readouterr().out
    assert [path for path in sorted(project.rglob("*.*")) if "__pycache__" not in path.parts] == before


def test_fresh_keeps_the_run_before(project, capsys):
    folder = project / "runs" / "run"
    for number in ("", ".1", ".2"):
        (folder.parent / f"run{number}").mkdir(parents=True)
        (folder.parent / f"run{number}" / "mine").write_text(number)
    assert train(project, "--fresh", "--set", "fit.checkpoint='runs/run'") == 0
    assert f"the run before is in {folder}.3 now" in capsys.readouterr().out
    assert (folder.parent / "run.3" / "mine").read_text() == ""
    assert (folder / "last.safetensors").exists()
    assert not (folder / "mine").exists()


def test_fresh_never_moves_the_config(project, capsys):
    for folder in (".", "..", ""):
        assert train(project, "--fresh", "--set", f"fit.checkpoint='{folder}'") == 1
        assert "is the one that run.toml is in" in capsys.readouterr().err
        assert (project / "run.toml").exists()


@pytest.mark.parametrize("arguments", [["--dry-run", "{}"], ["{}", "--dry-run"], ["--set", "fit.epochs=4", "{}"]])
def test_options_stand_before_or_after_the_file(project, arguments, capsys):
    path = str(project / "run.toml")
    extra = [] if "--dry-run" in arguments else ["--dry-run", "--set", "fit.seed=1"]
    assert main(["train", *(path if one == "{}" else one for one in arguments), *extra]) == 0
    shown = capsys.readouterr().out
    assert ("epochs=4, seed=1" in shown) == bool(extra)


@pytest.mark.parametrize("arguments", [["{}", "other"], ["{}", "--sett", "a=1"], ["{}", "--dry-run", "other"]])
def test_what_is_not_known_is_refused(project, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", *(str(project / "run.toml") if one == "{}" else one for one in arguments)])
    assert ended.value.code == 2
    assert "usage: tessera train" in capsys.readouterr().err


def test_a_file_that_is_neither(project, capsys):
    assert main(["train", str(project / "run.yaml")]) == 1
    assert "A run is a config, whose name ends in .toml" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(project, number):
    (project / "own.py").write_text(
        "import signal\n"
        "def make(step):\n"
        "    def stop(history):\n"
        f"        if len(history.epochs) == step: signal.raise_signal({int(number)})\n"
        "    return stop\n"
    )
    callback = ["--set", "callbacks=[{name='own.py:make', step=2}]"]
    assert train(project, "--set", "fit.epochs=4", *callback) == 128 + number
    assert train(project, "--set", "fit.epochs=4", *callback) == 0
    assert train(project, "--set", "fit.epochs=4", "--set", "fit.checkpoint='whole'") == 0
    assert weights(project / "runs" / "run") == weights(project / "whole")


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_goes_on(project):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "tessera", "train", str(project / "run.toml"), "--set", "fit.epochs=1000"]
    command += ["--set", "fit.save_every=20"]
    source = random.Random(0)
    for _ in range(5):
        running = subprocess.Popen(command, env=environment)
        folder = project / "runs" / "run"
        known = set(folder.glob("snapshot-*"))
        while running.poll() is None and not set(folder.glob("snapshot-*")) - known:
            time.sleep(0.05)
        time.sleep(source.uniform(0, 1))
        running.kill()
        running.wait()
    assert subprocess.run(command, env=environment, check=False, timeout=300).returncode == 0
    assert subprocess.run([*command, "--set", "fit.checkpoint='whole'"], env=environment, check=False).returncode == 0
    assert weights(project / "runs" / "run") == weights(project / "whole")
    assert json.loads((project / "whole" / "report.json").read_text())["subject"] == "training step of Net"
