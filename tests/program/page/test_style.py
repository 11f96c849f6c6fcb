from __future__ import annotations

import re

from tessera.program.page.calls_drawing import calls_drawing
from tessera.program.page.style import SCRIPT, STYLE
from tests.program.page.hand_made import calls


def test_every_colour_that_is_used_is_there_in_light_and_dark():
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)", 1)
    used = set(re.findall(r"var\((--[\w-]+)\)", STYLE)) - {"--colour"}
    assert used <= set(re.findall(r"(--[\w-]+):", light))
    assert used <= set(re.findall(r"(--[\w-]+):", dark.split("}", 1)[0]))


def test_nothing_is_fetched():
    assert not re.search(r"https?:|url\(|@import|fetch\(|import ", STYLE + SCRIPT)


def test_braces_are_closed():
    for text in (STYLE, SCRIPT):
        assert text.count("{") == text.count("}")


def test_what_is_drawn_has_its_classes():
    drawn = set(" ".join(re.findall(r'class="([^"]*)"', calls_drawing(calls()))).split())
    assert {"call", "edge", "library"} <= drawn
    assert all(f".{name}" in STYLE for name in drawn)
