from __future__ import annotations

import random
from xml.etree import ElementTree as ET

import pytest

from tessera.program import BufferLife, live_bytes
from tessera.program.page.memory_drawing import memory_drawing
from tests.program.page.hand_made import calls


def test_the_peak_is_named_with_what_is_alive_and_who_made_it():
    memory = [BufferLife("small", 1 << 10, 0, 3), BufferLife("large", 1 << 20, 1, 2)]
    found = memory_drawing(memory, calls())
    assert "1 MiB at the peak, in call 1 (net.py:9, net.py:7)" in found
    assert "<li>1 MiB large, made by cpp_fused_sum_0 (net.py:9, net.py:7)</li><li>1 KiB small" in found
    assert "large: 1 MiB, calls 1 to 1" in found
    assert memory_drawing([], calls()) == ""
    assert memory_drawing([BufferLife("late", 8, 3, 3)], calls()) == ""


@pytest.mark.parametrize("seed", range(3))
def test_the_areas_lie_on_each_other_and_reach_the_peak(seed):
    draw = random.Random(seed)
    many = calls() * 20
    memory = []
    for number in range(100):
        begin = draw.randrange(len(many))
        memory.append(BufferLife(f"b{number}", draw.randrange(1, 1 << 20), begin, draw.randrange(begin, len(many) + 1)))
    found = memory_drawing(memory, many)
    svg = ET.fromstring(found[found.index("<svg") : found.index("</svg>") + 6])
    points = [
        tuple(map(float, point.split(","))) for area in svg.iter("polygon") for point in area.attrib["points"].split()
    ]
    assert min(y for _, y in points) == pytest.approx(8, abs=0.2)  # the peak touches the top line
    assert max(y for _, y in points) <= 228.1
    assert min(x for x, _ in points) >= 0
    assert max(x for x, _ in points) <= 1000
    assert max(live_bytes(memory, len(many))) > 0
