from __future__ import annotations

import json
import logging

import pytest

from tessera.errors import SettingError, SourceLine
from tessera.program import BufferLife, CallRecord, Compilation, Part, PassRecord, Report, StepDown


def report():
    found = Report("training step of Net", rung="pieces")
    record = PassRecord("merge_linears", "bitwise", 1, 0.25, 12, 9, note="kept one")
    found.add(Compilation("step", [record], operations=9, kernels=2, external_calls=1, notes=["ran eagerly"]))
    found.add(StepDown("pieces", "an if on a tensor", "Write torch.where.", SourceLine("model.py", 12, "if x > 0:")))
    return found


def test_text_names_rung_passes_and_the_line():
    assert str(report()).splitlines() == [
        "training step of Net: pieces",
        "  compiled step in 0.00 s (capture 0.00, passes 0.00, Inductor 0.00)",
        "    Fused 9 operations into 2 kernels and 1 library call",
        "    pass merge_linears [bitwise]: 1 match, 12 -> 9 operations, 0.250 s (kept one)",
        "    ran eagerly",
        "  stepped down to pieces: an if on a tensor",
        "    at model.py:12  if x > 0:",
        "    Write torch.where.",
    ]


def test_json_holds_everything():
    read = json.loads(report().to_json())
    again = Report(read["subject"], read["rung"])
    for one in read["compilations"]:
        again.compilations.append(Compilation(**one | {"passes": [PassRecord(**p) for p in one["passes"]]}))
    for one in read["step_downs"]:
        again.step_downs.append(StepDown(**one | {"where": SourceLine(**one["where"])}))
    assert again == report()


def test_a_reason_is_kept_and_logged_once(caplog):
    found = Report("f")
    with caplog.at_level(logging.WARNING, logger="tessera"):
        found.add(StepDown("pieces", "print"))
        found.add(StepDown("pieces", "print"))
    assert found.step_downs == [StepDown("pieces", "print")]
    assert [r.getMessage() for r in caplog.records] == ["f: stepped down to pieces: print"]


def test_the_peak_of_a_budget_is_told_predicted_and_measured():
    made = Compilation("step", predicted_peak=3 << 20)
    assert "    Allocates 3 MiB at its peak, predicted\n" in f"{Report('x', compilations=[made])}\n"
    made.measured_peak = 7 << 19
    assert "Allocates 3 MiB at its peak, predicted, 3.5 MiB measured" in str(Report("x", compilations=[made]))
    made.origin = "step.tessera"
    assert "3.5 MiB measured" in str(Report("x", compilations=[made]))


def test_what_was_measured_is_told():
    part = Part(SourceLine("/a/net.py", 3, "y = x @ w"), "forward", 1.0, ["aten.mm"])
    calls = [CallRecord("extern_kernels.mm", "library", 4_000_000, 8_000_000, "float32", [part], [], 1.5, 0.71)]
    calls += [CallRecord(f"cpp_fused_{number}", "kernel", milliseconds=0.1) for number in range(9)]
    memory = [BufferLife("buf0", 3 << 20, 0, 1)]
    made = Compilation("step", calls=calls, memory=memory, milliseconds=2.0, share_of_peak=0.71, peak="9 GFLOP/s")
    text = str(Report("x", compilations=[made]))
    assert "Holds 3 MiB at most besides what it is given" in text
    assert "Achieved 71% of peak FLOPS: 9 GFLOP/s" in text
    assert "extern_kernels.mm: 1.500 ms, 4 MB, 8 MFLOP, 71% of roofline; net.py:3" in text
    assert "the most costly calls of 10, the others in" in text
    assert text.count("cpp_fused_") == 7
    assert "cpp_fused_0: 0.100 ms, size not known; (no line)" in text


def test_it_is_saved_in_the_form_of_its_ending(tmp_path):
    found = report()
    for name in ("a.html", "a.json", "a.txt"):
        found.save(tmp_path / name)
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == found.to_json()
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == str(found)
    with pytest.raises(SettingError, match="cannot be written"):
        found.save(tmp_path / "none" / "a.html")
