from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from tessera.program import CallRecord
from tessera.program.page.calls_drawing import calls_drawing
from tests.program.page.hand_made import calls, part


def drawn(found: str) -> ET.Element:
    return ET.fromstring(found[found.index("<svg") : found.index("</svg>") + 6])


def boxes(svg: ET.Element) -> list[dict[str, str]]:
    return [box.attrib for box in svg.iter("rect")]


def test_a_box_a_call_as_wide_as_its_time_in_the_lane_of_its_phase():
    svg = drawn(calls_drawing(calls()))
    forward, backward, update = boxes(svg)
    widths = [float(box["width"]) for box in (forward, backward, update)]
    assert widths[0] > 2.5 * widths[1] > 2.5 * widths[2] / 2
    assert float(forward["y"]) < float(backward["y"]) < float(update["y"])
    assert float(backward["x"]) >= float(forward["x"]) + widths[0] - 0.2
    assert {(edge.attrib["data-from"], edge.attrib["data-to"]) for edge in svg.iter("path")} == {
        ("0", "1"),
        ("0", "2"),
        ("1", "2"),
    }


def test_everything_lies_inside():
    svg = drawn(calls_drawing(calls() * 40))
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    assert all(float(box["x"]) + float(box["width"]) <= width for box in boxes(svg))
    assert all(float(box["y"]) + float(box["height"]) <= height for box in boxes(svg))
    assert min(float(box["width"]) for box in boxes(svg)) >= 7


def test_hints_hold_whatever_text():
    call = CallRecord("<b>", "kernel", parts=[part(None, "<script>", 1.0)])
    found = calls_drawing([call])
    assert "<b>" not in found
    assert "<script>" not in found
    assert re.search(r"<title>0: &lt;b&gt;", found)
    assert calls_drawing([]) == ""
