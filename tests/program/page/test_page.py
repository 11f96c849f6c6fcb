from __future__ import annotations

from html.parser import HTMLParser

import pytest

from tessera.errors import SourceLine
from tessera.program import BufferLife, CallRecord, Compilation, Part, PassRecord, Report, StepDown
from tessera.program.page.page import page

EMPTY = {"meta", "br", "link"}  # elements without an end


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, properly nested, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements, self.text, self.outside = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.outside += [value for name, value in attrs if name in ("src", "href")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def __contains__(self, words: str) -> bool:
        return words in "".join(self.text)


def a_report(word: str) -> Report:
    record = PassRecord(word, word, 1234, 0.25, 1200, 900, note=word)
    part = Part(SourceLine("f", 3, word), word, 1.0, [word])
    calls = [CallRecord(word, word, 8, 9, word, [part], [], 0.5, 0.7), CallRecord(word, word, parts=[part], reads=[0])]
    memory = [BufferLife(word, 1 << 20, 0, 2)]
    compilation = Compilation(word, [record], 900, 2, 1, 1.0, 0.5, 2.0, [word], calls, memory, 1.5, 0.25, word)
    return Report(word, word, [compilation], [StepDown(word, word, word, SourceLine("f", 3, word))])


@pytest.mark.parametrize(
    "word",
    ["plain", "<script>alert(1)</script>", '"><b onclick="x">', "a & b &lt;", "</style></title><p>", "é€😀\u2028"],
)
def test_whatever_stands_in_it_is_text(word):
    found, plain = Reader(page(a_report(word), word)), Reader(page(a_report("plain"), "plain"))
    assert found.elements == plain.elements
    # At the end of a sentence white space is left out.
    assert 0 <= "".join(plain.text).count("plain") - "".join(found.text).count(word) < 2
    assert "".join(plain.text).count("plain") > 30
    assert found.outside == []  # it needs nothing beside it


def test_it_says_all_that_the_report_says():
    found = Reader(page(a_report("f"), "run.py"))
    for words in ("Fused 900 operations into 2 kernels and 1 library call", "3.50 s", "1,234", "1,200 → 900", "0.250"):
        assert words in found
    for words in ("capture 1.00 s", "passes 0.50 s", "Inductor 2.00 s", "f:3", "Stepped down to f", "run.py"):
        assert words in found


def test_an_empty_report_is_a_page():
    found = Reader(page(Report("f"), ""))
    assert "not run yet" in found
    assert "section" not in found.elements
    compiled = Reader(page(Report("f", compilations=[Compilation("f")]), ""))
    assert "no kernel" in compiled
    assert "table" not in compiled.elements
