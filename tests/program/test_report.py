from __future__ import annotations

import json
import logging

from tessera.errors import SourceLine
from tessera.program import Compilation, PassRecord, Report, StepDown


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
