from __future__ import annotations

import time

import pytest

from benchmarks import run
from benchmarks.plan import Plan
from benchmarks.row import Part, limited

NAMES = (
    "xor",
    "mlp",
    "call",
    "compilations",
    "declared",
    "compile_time",
    "curves",
    "fit",
    "checkpoint",
    "data",
    "optim",
    "images",
    "lstm",
    "alone",
    "budget",
    "first_step",
    "gpt",
    "minilm",
    "quantization",
    "import",
)


def family(name, found=1):
    return lambda plan: Part([limited(f"work of {name}", "peer", found, 2)], [f"note of {name}"])


@pytest.fixture
def families(monkeypatch):
    stand_ins = {name: family(name) for name in NAMES}
    monkeypatch.setattr(run, "FAMILIES", stand_ins)
    return stand_ins


def test_these_are_the_families():
    assert tuple(run.FAMILIES) == NAMES


def test_help_lists_the_names(capsys):
    with pytest.raises(SystemExit) as stop:
        run.main(["--help"])
    assert stop.value.code == 0
    assert ", ".join(NAMES) in " ".join(capsys.readouterr().out.split())


def test_only_takes_names_and_refuses_others(capsys):
    assert run.arguments("", run.FAMILIES).parse_args(["--only", "xor, gpt"]).only == ("xor", "gpt")
    with pytest.raises(SystemExit):
        run.main(["--only", "xor,bert"])
    assert "bert is not one of xor, mlp" in capsys.readouterr().err


def test_a_whole_run_is_printed_and_kept(families, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    run.main([])
    printed = capsys.readouterr()
    (path,) = (tmp_path / "results").iterdir()
    assert path.read_text(encoding="utf-8") == printed.out.removesuffix("\n")
    assert all(f"work of {name}" in printed.out and f"note of {name}" in printed.out for name in NAMES)
    assert f"written to {path}" in printed.err


@pytest.mark.parametrize("argv", [["--quick"], ["--only", "xor"]])
def test_a_part_of_a_run_replaces_no_result(families, monkeypatch, tmp_path, capsys, argv):
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    run.main(argv)
    assert not (tmp_path / "results").exists()
    run.main([*argv, "--folder", str(tmp_path / "here")])
    assert len(list((tmp_path / "here").iterdir())) == 1
    assert "work of xor" in capsys.readouterr().out


def test_the_plan_is_quick_when_asked(families, capsys):
    plans = []
    families["xor"] = lambda plan: plans.append(plan) or Part()
    run.main(["--quick", "--only", "xor"])
    assert plans[0].quick
    assert plans[0].device.type == "cpu"


def test_a_family_that_fails_is_a_row_and_the_next_one_runs(capsys):
    def fails(plan):
        raise RuntimeError("no compiler")

    said = []
    part = run.measure(Plan(say=said.append), {"gpt": fails, "mlp": family("mlp")})
    assert "  work of mlp: peer: 1 |  |  <= 2" in said
    assert [(row.work, row.met) for row in part.rows] == [("gpt", False), ("work of mlp", True)]
    assert part.rows[0].ours == "failed: RuntimeError"
    assert any("no compiler" in line for line in said)


def test_when_time_is_over_the_rest_is_said_not_left_out():
    over = Plan(limit_s=1.0, started=time.perf_counter() - 2)
    part = run.measure(over, {"gpt": family("gpt")})
    assert [(row.work, row.ours, row.met) for row in part.rows] == [("gpt", "no time was left", None)]
