import ast
import os

import pytest
import torch

from tessera.explain.stops import callers, shown_path, stops


def outer(x):
    y = x * 2
    return inner(
        y,
    )


def inner(y):
    return (y
            .reshape(7)
            .sum())  # fmt: skip


def passed():
    with pytest.raises(RuntimeError) as raised:
        outer(torch.ones(3))
    return stops(raised.value)


def test_each_frame_has_its_line_and_syntax():
    first, second = passed()[1:]
    assert (first.function, second.function) == ("outer", "inner")
    assert ast.unparse(first.node) == "inner(y)"
    assert ast.unparse(second.node) == "y.reshape(7)"
    assert isinstance(second.statement, ast.Return)
    assert not second.is_library
    assert not second.raises


def test_what_was_raised_by_raise_is_known():
    def fails():
        assert torch.ones(()) < 0

    with pytest.raises(AssertionError) as raised:
        fails()
    assert stops(raised.value)[-1].raises


def test_library_frames_are_known():
    with pytest.raises(RuntimeError) as raised:
        torch.nn.Sequential(torch.nn.Linear(2, 2))(torch.ones(3))
    mine, *torchs = stops(raised.value)
    assert not mine.is_library
    assert all(stop.is_library and stop.is_torchs for stop in torchs)
    assert [stop.calls_a_module for stop in torchs] == [True, True, False, True, True, False]


def test_the_nearest_caller_comes_first():
    import sys

    assert next(callers(sys._getframe())).function != "test_the_nearest_caller_comes_first"


def test_text_without_source_has_no_syntax():
    code = compile("1 / 0", "nowhere.py", "exec")
    with pytest.raises(ZeroDivisionError) as raised:
        exec(code, {})
    assert stops(raised.value)[-1].node is None
    assert stops(raised.value)[-1].function == ""


def test_paths_are_shown_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown_path(str(tmp_path / "model.py")) == "model.py"
    assert shown_path(os.sep + "model.py") == os.sep + "model.py"
