import sys

from tessera.explain.failure import Explanation
from tessera.explain.stops import Stop
from tessera.explain.text import full_text, place_text

EXPLAINED = Explanation("Shape Error", "a", ["b: 1", "c: 2"], "because.", ["x", "x", "y", "z", "w"])


def here():
    frame = sys._getframe(); return Stop(frame, frame.f_lasti, frame.f_lineno)  # fmt: skip  # noqa: E702


def test_the_whole():
    stop = here()
    text = full_text(EXPLAINED, stop, "blocks.1", "torch's words").splitlines()
    assert text[0] == f"Shape Error in 'here' (blocks.1) at tests/explain/test_text.py:{stop.line}"
    assert text[1].startswith("    frame = sys._getframe();")
    assert set(text[2].strip()) == {"^"}
    assert text[3:] == [
        "  Expected: a", "  Received: b: 1", "            c: 2", "  Why: because.", "  Possible fixes:",
        "    1. x", "    2. y", "    3. z", "  PyTorch says: torch's words",
    ]  # fmt: skip


def test_without_a_place():
    assert place_text(None, "") == ("", [])
    assert full_text(EXPLAINED, None, "", "w").startswith("Shape Error\n  Expected")
