"""The user's lines: what each of them became and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from tessera.errors import SourceLine
from tessera.program.call_record import CallRecord
from tessera.program.page.cells import heads, number


@dataclass
class _Line:
    where: SourceLine | None
    phase: str
    milliseconds: float = 0.0
    num_bytes: float = 0.0
    flops: float = 0.0
    calls: set[int] = field(default_factory=set)


def lines_table(calls: Sequence[CallRecord]) -> str:
    """The table; empty where nothing is known."""
    lines: dict[str, _Line] = {}
    for at, call in enumerate(calls):
        for part in call.parts:
            line = lines.setdefault(str(part.where or f"({part.phase})"), _Line(part.where, part.phase))
            line.milliseconds += part.share * (call.milliseconds or 0.0)
            line.num_bytes += part.share * call.num_bytes
            line.flops += part.share * call.flops
            line.calls.add(at)
    if not lines:
        return ""
    measured = any(call.milliseconds is not None for call in calls)
    titles = {
        "line": "text",
        **({"ms": "number"} if measured else {}),
        "MB": "number",
        "MFLOP": "number",
        "calls": "number",
    }
    ordered = sorted(lines.values(), key=lambda line: -(line.milliseconds if measured else line.num_bytes))
    rows = "\n".join(_row(line, measured=measured) for line in ordered)
    return f'<div class="scroll"><table>\n<tr>{heads(titles)}</tr>\n{rows}\n</table></div>'


def _row(line: _Line, *, measured: bool) -> str:
    if line.where is None:
        told = f"({escape(line.phase or 'no line')})"
    else:
        place = f"{line.where.file.rsplit('/', 1)[-1]}:{line.where.line}"
        told = f'<span title="{escape(line.where.file)}">{escape(place)}</span> <code>{escape(line.where.code)}</code>'
    cells = [f'<td class="line">{told}</td>', *([number(line.milliseconds, 3)] if measured else [])]
    cells += [number(line.num_bytes / 1e6, 2), number(line.flops / 1e6, 2), number(len(line.calls), 0)]
    return f"<tr>{''.join(cells)}</tr>"
