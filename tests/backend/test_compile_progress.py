from __future__ import annotations

import io
import logging
import time

import pytest
from rich.console import Console

from tessera.backend import compile_progress
from tessera.backend.compile_progress import compiling, silently, stage


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(compile_progress, "QUIET_S", 0.05)


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=100)


def wait_for(seen, limit_s=5.0):
    end = time.perf_counter() + limit_s
    while not seen() and time.perf_counter() < end:
        time.sleep(0.01)
    return seen()


def test_a_long_compilation_has_a_line_that_goes_away():
    console = terminal()
    with compiling("a step", console):
        assert wait_for(lambda: "compiling a step: capture" in console.file.getvalue())
        stage("kernels")
        assert wait_for(lambda: "compiling a step: kernels" in console.file.getvalue())
    assert console.file.getvalue().endswith("\x1b[2K")  # the line is wiped
    assert compile_progress._running == []


def test_a_short_one_says_nothing(caplog):
    caplog.set_level(logging.INFO, logger="tessera")
    console = terminal()
    with compiling("a step", console):
        stage("kernels")
    time.sleep(0.1)
    assert console.file.getvalue() == ""
    assert not caplog.messages


def test_without_a_terminal_it_is_logged(caplog):
    caplog.set_level(logging.INFO, logger="tessera")
    console = Console(file=io.StringIO())
    with compiling("a step", console):
        assert wait_for(lambda: caplog.messages)
        stage("kernels")
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "compiling a step: capture",
        "compiling a step: kernels",
    ]
    assert console.file.getvalue() == ""


def test_one_inside_another_leaves_the_line_to_it():
    console, inner = terminal(), terminal()
    with compiling("a step", console):
        with compiling("a part", inner):
            stage("kernels")
        assert wait_for(lambda: "compiling a step: kernels" in console.file.getvalue())
    assert inner.file.getvalue() == ""


def test_nothing_is_said_where_somebody_else_moves_a_line():
    console = terminal()
    with silently(), compiling("a step", console):
        stage("kernels")
        time.sleep(0.2)
    assert console.file.getvalue() == ""


def test_it_ends_with_an_error_too():
    console = terminal()
    with pytest.raises(ValueError, match="wrong"), compiling("a step", console):
        raise ValueError("wrong")
    assert compile_progress._running == []
    stage("nobody listens")
