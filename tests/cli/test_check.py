from __future__ import annotations

import json

import pytest

from tessera.cli.main import main

WRONG = """
from tessera import Tensor, function


@function
def wrong(x: Tensor["B", 512]) -> Tensor["B", 256]:
    return x


def right(x: Tensor["B", "S"]) -> Tensor["S", "B"]:
    return x.t()
"""


@pytest.fixture
def wrong(project, monkeypatch):
    (project / "some_wrong.py").write_text(WRONG)
    monkeypatch.chdir(project)
    return project / "some_wrong.py"


def test_errors_are_printed_and_the_exit_code_is_one(wrong, capsys):
    assert main(["check", "some_wrong.py"]) == 1
    text = capsys.readouterr().out
    assert "Type mismatch in 'wrong'" in text
    assert text.endswith("2 functions checked, 1 error, 0 warnings\n")


def test_a_folder_is_searched_and_clean_code_is_zero(project, capsys):
    (project / "clean").mkdir()
    (project / "clean" / "clean_one.py").write_text(WRONG.replace("256", "512"))
    (project / "clean" / "not_annotated.py").write_text("raise RuntimeError('is not imported')")
    assert main(["check", str(project / "clean")]) == 0
    assert "2 functions checked, 0 errors" in capsys.readouterr().out


def test_json(wrong, capsys):
    assert main(["check", str(wrong), "--format", "json"]) == 1
    content = json.loads(capsys.readouterr().out)
    (error,) = content["errors"]
    assert (error["file"], error["line"], error["kind"]) == (str(wrong), 7, "return")


def test_github(wrong, capsys):
    assert main(["check", str(wrong), "--format", "github"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("::error file=some_wrong.py,line=7,title=Type mismatch in 'wrong'::expected ")


def test_a_path_that_is_not_there(capsys):
    assert main(["check", "nowhere.py"]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err
