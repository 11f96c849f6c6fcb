from __future__ import annotations

import json

from tessera.check.finding import CheckReport, Finding
from tessera.errors import SourceLine

BORN, HURTS = SourceLine("net.py", 7, "h = self.fc1(x)"), SourceLine("net.py", 9, "y = self.fc2(h)")


def finding(**changes):
    facts = {
        "kind": "shape",
        "severity": "error",
        "function": "Net.forward",
        "where": BORN,
        "why": "The layer takes 512.",
        "expected": 'Tensor["B", 512]',
        "received": 'Tensor["B", 256]',
        "fixes": ("in_features=256", "x.transpose(0, 1)"),
        "hurts": HURTS,
        "layer": "fc2",
        "columns": (4, 15),
    }
    return Finding(**{**facts, **changes})


def test_the_full_text():
    assert str(finding()) == (
        "Shape Error in 'Net.forward' (fc2) at net.py:7\n"
        "    h = self.fc1(x)\n"
        "        ^^^^^^^^^^^\n"
        '  Expected: Tensor["B", 512]\n'
        '  Received: Tensor["B", 256]\n'
        "  The layer takes 512.\n"
        "  It is noticed at net.py:9  y = self.fc2(h)\n"
        "  Possible fixes:\n"
        "    1. in_features=256\n"
        "    2. x.transpose(0, 1)"
    )


def test_the_full_text_of_a_result():
    assert str(finding(kind="return", hurts=None, layer="", fixes=())) == (
        "Type mismatch in 'Net.forward':\n"
        '  Expected: Tensor["B", 512]\n'
        '  Returned: Tensor["B", 256]\n'
        "  The layer takes 512.\n"
        "  at net.py:7  h = self.fc1(x)"
    )


def test_other_lines_that_may_be_wrong_are_told():
    other = finding(others=(SourceLine("net.py", 3, "self.fc1 = nn.Linear(512, 256)"),))
    assert "  Or what is wrong is net.py:3  self.fc1 = nn.Linear(512, 256)\n  Possible fixes:" in str(other)
    assert other.as_json()["others"] == [{"file": "net.py", "line": 3}]
    assert finding().as_json()["others"] == []


def test_one_line_and_json():
    assert finding().message == (
        'expected Tensor["B", 512], received Tensor["B", 256]. The layer takes 512. It is noticed in line 9.'
    )
    content = json.loads(json.dumps(finding().as_json()))
    assert (content["line"], content["noticed"]) == (7, {"file": "net.py", "line": 9})


def test_a_report_holds_each_cause_once_in_order():
    report = CheckReport(checked=["f"])
    report.add(finding(where=HURTS))
    report.add(finding())
    report.add(finding())
    report.add(finding(severity="warning", kind="size", where=SourceLine("net.py", 8)))
    assert [one.line for one in report.findings] == [7, 8, 9]
    assert not report.ok
    assert str(report).endswith("1 function checked, 2 errors, 1 warning")
    both = CheckReport(notes=["a"], checked=["g"])
    both.merge(report)
    both.merge(report)
    assert len(both.errors) == 2
    assert both.checked == ["g", "f", "f"]
