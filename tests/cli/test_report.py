from __future__ import annotations

import json
import sys

import pytest

from tessera.cli.main import main
from tessera.errors import SourceLine
from tessera.program import Report, StepDown, last_report
from tessera.program.report_json import read_report


@pytest.fixture
def report(project, monkeypatch) -> Report:
    monkeypatch.setattr(last_report, "_kept", {})
    made = Report("training step of Net", "eager")
    made.add(StepDown("eager", "print", "Print later.", SourceLine("net.py", 3, "print(x)")))
    return made


def shown(capsys, *arguments) -> str:
    assert main(["report", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_last_report_as_text_and_as_json(report, capsys):
    text = shown(capsys)
    assert text.startswith(f"{report}\n{sys.argv[0]}, 2")
    assert read_report(shown(capsys, "--json"), "it") == report


@pytest.mark.parametrize("where", ["report.json", "."])
def test_the_report_of_a_run(project, report, where, capsys):
    run = project / "runs" / "a"
    run.mkdir(parents=True)
    (run / "report.json").write_text(Report("another").to_json())
    assert shown(capsys, run / where).startswith("another: not run yet\n")


def test_that_of_a_history(project, report, capsys):
    (project / "history.json").write_text(json.dumps({"loss": [], "report": json.loads(report.to_json())}))
    assert shown(capsys, project / "history.json").startswith(str(report))


def test_the_page(project, report, capsys):
    path = project / "report.html"
    assert shown(capsys, "--html", path) == f"{path}\n"
    assert "training step of Net" in path.read_text(encoding="utf-8")


def test_a_compiled_program_leaves_its_report(project, monkeypatch, capsys):
    import torch

    import tessera

    monkeypatch.setattr(last_report, "_kept", {})
    fast = tessera.compile(torch.nn.Linear(3, 2))
    fast(torch.ones(2, 3))
    last_report._write()  # as the process does when it ends
    assert shown(capsys).startswith(f"{fast.report}\n")
    assert "one graph" in str(fast.report)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "There is no Report in"),
        (["none.json"], "No such file"),
        (["net.py"], "net.py holds no Report"),
        (["."], "report.json: No such file"),
        (["binary"], "it is no text"),
    ],
)
def test_where_there_is_none(project, arguments, words, capsys):
    (project / "binary").write_bytes(b"\xff\xfe")
    assert main(["report", *(str(project / one) for one in arguments)]) == 1
    assert words in capsys.readouterr().err


def test_a_page_that_cannot_be_written(project, report, capsys):
    assert main(["report", "--html", str(project / "none" / "a.html")]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err
