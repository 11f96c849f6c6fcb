"""How an explained error reads."""

from __future__ import annotations

from tessera.explain.failure import Explanation
from tessera.explain.stops import Stop, shown_path

_FIXES = 3


def place_text(stop: Stop | None, path: str) -> tuple[str, list[str]]:
    """``in 'forward' (blocks.3) at model.py:42``, and the line of code with a caret under what failed."""
    if stop is None:
        return f"in {path}" if path else "", []
    function = f"in '{stop.function}' " if stop.function else ""
    layer = f"({path}) " if path and function else f"in {path} " if path else ""
    return f"{function}{layer}at {shown_path(stop.file)}:{stop.line}", _excerpt(stop)


def _excerpt(stop: Stop) -> list[str]:
    lines, position = stop.lines, stop.position
    first = position.line if position is not None else stop.line
    if not 0 < first <= len(lines):
        return []
    line = lines[first - 1].rstrip("\n")
    code = line.strip()
    if position is None:
        return [code]
    indent = len(line) - len(line.lstrip())
    encoded = line.encode()
    begin = len(encoded[: position.column].decode(errors="replace"))
    end = len(encoded[: position.end_column].decode(errors="replace")) if position.end_line == first else len(line)
    return [code, " " * (begin - indent) + "^" * max(end - begin, 1)]


def full_text(explanation: Explanation, stop: Stop | None, path: str, said: str) -> str:
    """Headline, code, what was expected and received, why, fixes, and torch's own words."""
    place, code = place_text(stop, path)
    lines = [f"{explanation.kind} {place}".rstrip(), *(f"    {line}" for line in code)]
    lines.append(f"  Expected: {explanation.expected}")
    for i, received in enumerate(explanation.received):
        lines.append(("  Received: " if i == 0 else "            ") + received)
    lines.append(f"  Why: {explanation.why}")
    if explanation.fixes:
        lines.append("  Possible fixes:")
        fixes = list(dict.fromkeys(explanation.fixes))[:_FIXES]
        lines += [f"    {number}. {fix}" for number, fix in enumerate(fixes, start=1)]
    return "\n".join([*lines, f"  PyTorch says: {said}"])
