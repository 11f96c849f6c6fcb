from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tessera.program import Report, StepDown, last_report
from tessera.program.last_report import FILE, cache_folder, keep
from tessera.program.report_json import read_report


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(last_report, "_kept", {})
    return tmp_path / "tessera"


def kept(folder: Path) -> Report:
    return read_report((folder / FILE).read_text(), "it")


def test_a_report_that_grows_is_the_last_one(folder):
    for name in ("f", "g"):
        report = Report(name)
        report.add(StepDown("eager", "print"))
        assert kept(folder) == report
    assert json.loads((folder / FILE).read_text())["program"] == sys.argv[0]
    assert [path.name for path in folder.iterdir()] == [FILE]  # nothing half written lies beside it


def test_the_folder_is_the_users_cache(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    for value in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_folder() == Path("/home/me/.cache/tessera")


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(last_report, "_kept", {})
    for folder in (tmp_path / "file", Path("/proc/none")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        keep(Report("f"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def python(code: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "XDG_CACHE_HOME": str(folder.parent)})


# The file alone and a stand-in for a Report: the package would load torch.
STAND_IN = """
import importlib.util, json, os, sys
spec = importlib.util.spec_from_file_location("last_report", FILE)
last_report = importlib.util.module_from_spec(spec)
spec.loader.exec_module(last_report)
class Kept:
    def __init__(self, name): self.name, self.rung = name, "not run yet"
    def to_json(self): return json.dumps({"subject": self.name * 5000, "rung": self.rung})
""".replace("FILE", repr(last_report.__file__))


def test_the_end_of_the_process_is_kept_but_not_that_of_a_fork(folder):
    code = f"""{STAND_IN}
report = Kept("f")
last_report.keep(report)
if os.fork() == 0:
    report.rung = "in the fork"
    sys.exit()
os.wait()
written = open(last_report.cache_folder() / last_report.FILE).read()
assert "not run yet" in written
report.rung = "whole"
"""
    assert python(code, folder).wait(timeout=60) == 0
    assert kept(folder).rung == "whole"


def test_processes_at_once_do_not_garble_it(folder):
    code = f"""{STAND_IN}
for number in range(300):
    last_report.keep(Kept(sys.argv[0] + "abc"[os.getpid() % 3]))
"""
    running = [python(code, folder) for _ in range(3)]
    seen = 0
    while any(one.poll() is None for one in running):
        if (folder / FILE).exists():
            found = kept(folder).subject
            assert len(set(found.replace("-c", ""))) == 1
            seen += 1
    assert all(one.returncode == 0 for one in running)
    assert seen > 10
    assert [path.name for path in folder.iterdir()] == [FILE]
