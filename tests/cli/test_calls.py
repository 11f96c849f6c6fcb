from __future__ import annotations

import os
from pathlib import Path

import pytest

from tessera.cli.calls import arguments, call, check_names, in_folder
from tessera.errors import SettingError, TesseraError


class Log:
    def __init__(self, path: str | os.PathLike[str], every: int = 1, *, others: list[Path] | None = None) -> None:
        self.path, self.every, self.others = path, every, others


def test_arguments_by_name_paths_from_the_config(project, entry):
    made = call(Log, entry('a = {path = "x/log.csv", every = 2, others = ["y", "/z"]}')["a"])
    assert (made.path, made.every) == (str(project / "x" / "log.csv"), 2)
    assert made.others == [str(project / "y"), "/z"]


def test_what_is_given_and_what_became_of_values(entry):
    made = call(Log, entry("a = {every = 2}")["a"], "here", values={"every": 3})
    assert (made.path, made.every) == ("here", 3)


def test_a_text_for_anything_else_stays_a_text(entry):
    assert call(lambda path: path, entry('a = {path = "x"}')["a"]) == "x"
    assert in_folder(entry("a = 3")["a"]) == 3


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        (
            'path = "x"\nevrey = 2',
            "Log has no argument 'evrey'. Its arguments are path, every, others. Write 'every'.",
            3,
        ),
        ("every = 2", "missing a required argument: 'path'", 1),
    ],
)
def test_what_does_not_fit(entry, text, words, line):
    with pytest.raises(SettingError) as caught:
        call(Log, entry(f"[a]\n{text}\n")["a"])
    assert words in str(caught.value)
    assert caught.value.where.line == line


def annotated(
    flag: bool = True, n: int | None = 0, x: float = 0.0, text: str = "", where: Path | None = None, log: int | Log = 0
) -> tuple[object, ...]:
    return flag, n, x, text, where, log


def test_plain_types_are_checked(entry, project):
    fits = entry('a = {flag = false, n = 3, x = 2, text = "a", where = "b", log = "c"}')["a"]
    assert call(annotated, fits) == (False, 3, 2, "a", str(project / "b"), "c")
    for wrong in ('flag = "no"', "n = 1.5", "n = true", 'x = "1"', "text = 3", "where = 4", "x = [1]", "flag = 0"):
        name, _, value = wrong.partition(" = ")
        with pytest.raises(SettingError, match=rf"^a\.{name} = .* was written\. {name} of annotated is a?") as caught:
            call(annotated, entry(f"[a]\n{wrong}\n")["a"])
        assert caught.value.where.line == 2
        assert call(annotated, entry(f"[a]\n{wrong}\n")["a"], values={name: value})


def test_anything_goes_to_a_function_that_takes_anything(entry):
    table = entry("a = {x = 1, y = 2}")["a"]
    assert call(dict, table) == {"x": 1, "y": 2}
    assert call(lambda **named: named, table) == {"x": 1, "y": 2}
    check_names(dict, table)
    assert arguments(dict, table) == {"x": 1, "y": 2}


def test_an_error_of_the_function_names_the_line(entry):
    def fail(x):
        raise TesseraError("a.", "b.", "c.")

    with pytest.raises(TesseraError) as caught:
        call(fail, entry("\n\n[a]\nx = 1\n")["a"])
    assert caught.value.where.line == 3
