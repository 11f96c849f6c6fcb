from __future__ import annotations

import json
import random

import pytest

from tessera.errors import SettingError, SourceLine
from tessera.program import Compilation, PassRecord, Report, StepDown
from tessera.program.report_json import read_report


def a_report() -> Report:
    record = PassRecord("merge_duplicates", "bitwise", 1, 0.25, 12, 9, note="kept <one>")
    compilation = Compilation("step", [record, record], 9, 2, 1, 0.5, 0.25, 1.5, ["ran eagerly"])
    step_down = StepDown("pieces", 'an "if"', "Write torch.where.", SourceLine("é.py", 12, "if x > 0:"))
    return Report("training step of Net", "pieces", [compilation], [step_down, StepDown("eager", "print")])


def test_what_is_written_is_read():
    for report in (a_report(), Report("f")):
        assert read_report(report.to_json(), "it") == report
        assert read_report(json.dumps({"loss": [1.0], "report": json.loads(report.to_json())}), "it") == report


def test_a_whole_number_of_seconds():
    written = json.loads(a_report().to_json())
    written["compilations"][0]["capture_seconds"] = 2
    assert str(read_report(json.dumps(written), "it")).count("capture 2.00") == 1


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "{}", "null", '{"report": null}', '{"subject": 3}', "[" * 100_000, '{"subject": "f", "x": 1}'],
)
def test_what_is_no_report(text):
    with pytest.raises(SettingError, match="it holds no Report"):
        read_report(text, "it")


def damaged(value, source: random.Random):
    """A copy with one part of it replaced by something of another kind, taken out, or added."""
    if isinstance(value, dict) and value and source.random() < 0.8:
        key = source.choice(list(value))
        return {**value, key: damaged(value[key], source)} if source.random() < 0.9 else {**value, "odd": 1}
    if isinstance(value, list) and value and source.random() < 0.8:
        return [damaged(value[0], source), *value[1:]]
    return source.choice([one for one in ("x", 1, 2.5, [1], {"a": 1}, True) if type(one) is not type(value)])


@pytest.mark.parametrize("seed", range(50))
def test_a_damaged_report_is_refused_or_whole(seed):
    wrong = damaged(json.loads(a_report().to_json()), random.Random(seed))
    try:
        found = read_report(json.dumps(wrong), "it")
    except SettingError:
        return
    # Only a whole number of seconds is as good as what was there.
    assert isinstance(str(found), str)
    assert json.loads(found.to_json()) == wrong
