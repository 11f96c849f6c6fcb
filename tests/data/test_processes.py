"""Workers that die, fail and are left alone."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pytest
import torch

from tessera.data import Loader, arrays
from tessera.data.processes import WorkerTraceback
from tessera.errors import DataError, SettingError, WorkerError
from tests.data import functions
from tests.data.functions import double, ends_on_13, exits_on_13, fails_on_13, killed_on_13, slow, with_pid

ROOT = Path(__file__).parents[2]
DATA = torch.arange(40)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pids, seconds=10.0):
    """Whether all of them end within some seconds."""
    until = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


def pids_of(loader):
    return [worker._process.pid for worker in loader._pool._workers]


def position_of(sample):
    """At which position of epoch 0 the sample stands."""
    return [int(found) for batch in Loader(DATA, 5) for found in batch].index(sample)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_order_is_that_without_workers(workers):
    with Loader(arrays(DATA).map(double), 6, workers=workers) as loader, Loader(arrays(DATA).map(double), 6) as plain:
        for _ in range(2):
            assert [batch.tolist() for batch in loader] == [batch.tolist() for batch in plain]


@pytest.mark.parametrize(
    ("function", "how"),
    [
        (killed_on_13, r"was killed by SIGKILL \(as happens when memory runs out\)"),
        (ends_on_13, "ended with exit code 0"),
    ],
)
def test_a_worker_that_dies_is_named_and_all_others_end(function, how):
    loader = Loader(arrays(DATA).map(function, random=False), 5, workers=3)
    batches = iter(loader)
    next(batches)
    pids = pids_of(loader)
    with pytest.raises(WorkerError) as caught:
        list(batches)
    position = position_of(13)
    assert caught.match(
        rf"^Worker {position // 5 % 3} of 3 {how} in map {function.__name__} on row 13 of the arrays "
        rf"\(position {position}\)\. "
    )
    assert caught.value.where.file == functions.__file__
    assert caught.value.where.line == function.__code__.co_firstlineno
    assert len(pids) == 3
    assert gone(pids)


def test_a_worker_that_is_killed_from_outside():
    with Loader(arrays(DATA).map(slow), 5, workers=2) as loader:
        batches = iter(loader)
        next(batches)
        pids = pids_of(loader)
        os.kill(pids[1], signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"^Worker 1 of 2 was killed by SIGKILL"):
            list(batches)
        assert gone(pids)
        loader.seek(0)
        assert len(list(loader)) == 8  # new workers, as if nothing had been


@pytest.mark.parametrize("function", [fails_on_13, exits_on_13])
def test_an_error_in_a_worker_names_the_worker_the_sample_and_the_line(function):
    loader = Loader(arrays(DATA).map(function, random=False), 5, workers=2)
    with pytest.raises(DataError) as caught:
        list(loader)
    position = position_of(13)
    assert str(caught.value).startswith(f"Worker {position // 5 % 2} of 2: ")
    assert caught.value.where.file == functions.__file__
    assert "raise " in caught.value.where.code
    assert isinstance(caught.value.__cause__, WorkerTraceback)
    assert "Traceback (most recent call last)" in str(caught.value.__cause__)
    assert loader._pool._workers == []
    if function is fails_on_13:
        assert "map fails_on_13 failed on row 13 of the arrays" in str(caught.value)
        assert "KeyError: 'no thirteenth'" in str(caught.value)


def test_a_function_that_cannot_be_sent_is_named():
    loader = Loader(arrays(DATA).map(lambda sample: sample), 5, workers=2)
    with pytest.raises(SettingError, match="cannot be sent to a worker process") as caught:
        next(iter(loader))
    assert caught.value.where.file == __file__


def test_a_loop_that_is_left_leaves_nothing_behind_for_the_next_one():
    with Loader(arrays(DATA).map(slow), 4, workers=2) as loader, Loader(DATA, 4) as plain:
        for _ in loader:
            break
        for _ in plain:
            break
        assert [batch.tolist() for batch in loader] == [batch.tolist() for batch in plain]


def test_batches_stay_as_they_are_when_later_ones_are_made():
    with Loader(DATA, 4, workers=1, shuffle=False, worker_kind="process") as loader:
        assert torch.cat(list(loader)).tolist() == list(range(40))


def test_workers_stay_from_epoch_to_epoch():
    with Loader(arrays(DATA).map(with_pid, random=False), 4, workers=2) as loader:
        first, second = ({int(pid) for _, pids in loader for pid in pids} for _ in range(2))
    assert first == second
    assert len(first) == 2
    assert os.getpid() not in first


def test_a_loader_that_is_forgotten_ends_its_workers():
    loader = Loader(DATA, 4, workers=2, worker_kind="process")
    next(iter(loader))
    pids = pids_of(loader)
    assert all(map(alive, pids))
    del loader
    gc.collect()
    assert gone(pids)


def program(tmp_path, text):
    path = tmp_path / "program.py"
    if not path.exists():  # several run it at once, and one that is being written is an empty program
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(path)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


ENDLESS = """
    import torch
    from tessera.data import Loader, arrays
    from tests.data.functions import slow

    if __name__ == "__main__":
        loader = Loader(arrays(torch.arange(100_000)).map(slow), 2, workers=2)
        for number, _ in enumerate(loader):
            if number == 4:
                print(*(worker._process.pid for worker in loader._pool._workers), flush=True)
"""


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def test_the_end_of_the_program_is_the_end_of_its_workers(tmp_path):
    running = {how: program(tmp_path, ENDLESS) for how in SIGNALS}  # all at once: most of it is importing torch
    pids = {how: [int(pid) for pid in one.stdout.readline().split()] for how, one in running.items()}
    for how, one in running.items():
        assert len(pids[how]) == 2
        if how == signal.SIGINT:
            os.killpg(one.pid, how)  # as a terminal does it: all of the group
        else:
            one.send_signal(how)
    for how, one in running.items():
        _, errors = one.communicate(timeout=20)
        assert one.returncode != 0
        assert gone(pids[how]), how
        assert errors.count("Traceback") == (how == signal.SIGINT)  # one, of the program itself


def test_what_a_worker_cannot_import(monkeypatch, tmp_path):
    script = tmp_path / "script.py"
    script.touch()
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)  # a worker of xdist has none
    prompt = types.ModuleType("prompt")
    monkeypatch.setitem(sys.modules, "prompt", prompt)
    prompt.typed = lambda sample: sample
    prompt.typed.__module__, prompt.typed.__qualname__ = "prompt", "typed"
    data = arrays(torch.arange(4)).map(prompt.typed)
    with pytest.raises(WorkerError, match="before it was ready.* under `if __name__ == '__main__':`; and look"):
        list(Loader(data, 2, workers=1))
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    with pytest.raises(WorkerError, match="before it was ready.* of a notebook or a prompt into a module and import"):
        list(Loader(data, 2, workers=1))


@pytest.mark.slow
def test_a_program_without_a_guard_is_told_so(tmp_path):
    unguarded = """
        import torch
        from tessera.data import Loader

        for _ in Loader(torch.arange(10), 2, workers=1, worker_kind="process"):
            pass
    """
    _, errors = program(tmp_path, unguarded).communicate(timeout=60)
    assert "Worker 0 of 1 ended with exit code 1 before it was ready." in errors
    assert "if __name__ == '__main__':" in errors
