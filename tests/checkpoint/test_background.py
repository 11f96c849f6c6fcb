from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading

import pytest

from tessera.checkpoint.background import Background


def failing():
    raise KeyError("lost")


def test_jobs_run_one_after_the_other():
    background, order, gate = Background(), [], threading.Event()
    background.start(lambda: (gate.wait(), order.append(1)))
    background.check()
    assert order == []
    gate.set()
    background.start(lambda: order.append(2))
    background.wait()
    assert order == [1, 2]
    background.wait()


@pytest.mark.parametrize("look", [Background.wait, lambda background: background.start(lambda: None)])
def test_an_error_is_raised_once_where_the_program_looks_next(look):
    background = Background()
    background.start(failing)
    with pytest.raises(KeyError, match="lost"):
        look(background)
    background.check()
    background.wait()


def test_check_raises_without_waiting():
    background = Background()
    background.start(failing)
    background._job.thread.join()
    with pytest.raises(KeyError, match="lost"):
        background.check()


def test_an_error_that_nobody_asked_for_is_logged(caplog):
    background = Background()
    background.start(failing)
    with caplog.at_level(logging.ERROR):
        del background
        gc.collect()
    assert "The last save failed" in caplog.text


def test_the_interpreter_waits_and_tells_at_its_end():
    program = (
        "import time\n"
        "from tessera.checkpoint.background import Background\n"
        "def work():\n"
        "    time.sleep(0.3)\n"
        "    print('written', flush=True)\n"
        "    raise OSError('the disk is full')\n"
        "background = Background()\n"
        "background.start(work)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout == "written\n"
    assert "the disk is full" in ended.stderr
