from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tessera.errors import ExportError
from tessera.export import apart
from tessera.export.apart import run_apart
from tessera.export.example import Example

RUNTIME = """
import ctypes, os, time
def loader():
    return load
def load(path):
    what = path.read_text()
    if what == "crash":
        ctypes.string_at(0)
    if what == "refuse":
        raise ValueError("no such file format\\nand more")
    print("a runtime that talks", flush=True)
    def run(example):
        if what == "loops":
            while True:
                time.sleep(0.1)
        if what == "wants all memory":
            return [example.tensors[0].new_empty(1 << 45)]
        if what == "dies":
            os._exit(3)
        if len(example.tensors) == 3:
            os.write(2, b"[kernel.cpp:1] Check failed (sizes agree): why it is so.\\nmore\\n")
            raise RuntimeError("error 0x12")
        if len(example.tensors) == 2:
            raise TypeError("one input, please")
        x, *_ = example.tensors
        return [x * 2, x.sum(), x[0:0], x.new_zeros(()).bool()]
    return run
"""


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    (tmp_path / "a_runtime.py").write_text(RUNTIME)
    monkeypatch.syspath_prepend(tmp_path)

    def load(what):
        (tmp_path / "file").write_text(what)
        return run_apart("a_runtime", "loader", tmp_path / "file")

    return load


def example(*tensors):
    return Example(tensors, (), ())


def test_answers_are_the_runtimes_whatever_happens_to_files_beside_it(runtime, capfd):
    run = runtime("good")
    x = torch.arange(6.0).view(2, 3)
    with pytest.raises(ExportError, match="The runtime did not take this: no such file format. A file is"):
        runtime("refuse")
    with pytest.raises(ExportError, match=r"did not take this: it was ended by SIGSEGV\."):
        runtime("crash")
    dies = runtime("dies")
    with pytest.raises(ExportError, match="did not take this: it ended with status 3"):
        dies(example(x))
    with pytest.raises(ExportError, match="one input, please"):
        run(example(x, x))
    said = r"error 0x12 \(\[kernel.cpp:1\] Check failed \(sizes agree\): why it is so\)\. A file"
    with pytest.raises(ExportError, match=said):
        run(example(x, x, x))
    for each in (x, x.T, x.to(torch.bfloat16), x.long(), torch.zeros(0, 3)):
        doubled, total, empty, flag = run(example(each))
        assert torch.equal(doubled, each * 2)
        assert torch.equal(total, each.sum())
        assert empty.shape == (0, *each.shape[1:])
        assert flag.dtype == torch.bool
    assert capfd.readouterr() == ("", "")


def test_one_process_serves_file_after_file(runtime):
    run = runtime("good")
    process = run._process
    del run
    with pytest.raises(ExportError):
        runtime("crash")
    again = runtime("good")
    assert again._process is process
    assert len(again(example(torch.ones(2)))) == 4
    second = runtime("good")  # while the first is in use
    assert second._process is not process
    assert len(second(example(torch.ones(2)))) == 4


def test_a_process_that_is_gone_is_replaced(runtime):
    process = runtime("good")._process._process  # given back at once, and idle
    process.kill()
    process.wait()
    run = runtime("good")
    os.killpg(run._process._process.pid, signal.SIGKILL)
    with pytest.raises(ExportError, match="it was ended by SIGKILL"):
        run(example(torch.ones(2)))
    del run
    assert len(runtime("good")(example(torch.ones(2)))) == 4


def test_a_file_that_never_ends_or_wants_all_memory(runtime, monkeypatch):
    with pytest.raises(ExportError, match="(?i)memory"):
        runtime("wants all memory")(example(torch.ones(2)))
    run = runtime("loops")
    monkeypatch.setattr(apart, "PATIENCE_S", 0.2)
    with pytest.raises(ExportError, match=r"it gave no answer in 0.2 seconds\."):
        run(example(torch.ones(2)))


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_no_process_outlives_its_asker(runtime, tmp_path):
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pathlib import Path\nfrom tessera.export.apart import run_apart\n"
        f"run = run_apart('a_runtime', 'loader', Path({str(tmp_path / 'file')!r}))\n"
        "print(run._process._process.pid)"
    )
    (tmp_path / "file").write_text("good")
    pid = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid.strip()}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid.strip()}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process")
def test_a_narrower_limit_of_the_users_stays(tmp_path):
    (tmp_path / "a_runtime.py").write_text(RUNTIME)
    (tmp_path / "file").write_text("good")
    script = (
        f"import resource, sys, torch; sys.path.insert(0, {str(tmp_path)!r})\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))\n"
        "from pathlib import Path\nfrom tessera.export.apart import run_apart\n"
        "from tessera.export.example import Example\n"
        f"run = run_apart('a_runtime', 'loader', Path({str(tmp_path / 'file')!r}))\n"
        "print(run(Example((torch.ones(2),), (), ()))[0].tolist())"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout == "[2.0, 2.0]\n"
