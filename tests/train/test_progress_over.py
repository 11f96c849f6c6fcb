from __future__ import annotations

import io

import pytest
from rich.console import Console

from tessera.train.progress_over import progress_over


def shown(show, *, terminal, total=3):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    with progress_over("abc", total, show, name="predict", console=console) as batches:
        assert list(batches) == ["a", "b", "c"]
    return out.getvalue()


@pytest.mark.parametrize("show", [None, True])
@pytest.mark.parametrize("total", [3, None])
def test_a_terminal_gets_a_moving_line(show, total):
    out = shown(show, terminal=True, total=total)
    assert "predict" in out
    assert ("3/3" if total else "3/?") in out
    assert ("predict: 3 batches in 0.0 s" in out) == (show is True)


def test_a_file_gets_a_line_when_asked():
    assert shown(True, terminal=False) == "predict: 3 batches in 0.0 s\n"
    assert shown(None, terminal=False) == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_silent(terminal):
    assert shown(False, terminal=terminal) == ""


def test_the_terminal_is_left_in_order_after_an_error():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)

    def fail():
        with progress_over("abc", 3, None, name="predict", console=console) as batches:
            next(batches)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert out.getvalue().count("\x1b[?25h") == 1  # the cursor is back
