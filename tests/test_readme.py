"""The README's Python blocks are one program that runs as it stands."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def tour() -> str:
    """The README with all but its Python blocks blanked out: an error then names the README's own line."""
    lines, inside = [], False
    for line in README.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line == "```python" if fence else inside
    return "\n".join(lines)


def test_the_tour_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tour.py").write_text(tour(), encoding="utf-8")
    end = runpy.run_path("tour.py")
    assert str(end["step"].report) in capsys.readouterr().out
    assert (tmp_path / "classifier.onnx").stat().st_size > 0


def test_the_tour_is_all_of_the_python_blocks():
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    assert [line for line in tour().splitlines() if line] == [x for block in blocks for x in block.splitlines() if x]
