"""Every kernel and library call: what was fused into it, from which lines, what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tessera.program.call_record import CallRecord
from tessera.program.page.cells import heads, number

_SHOWN = 3  # lines and operations that a row spells out; the others stand in its hint


def calls_table(calls: Sequence[CallRecord]) -> str:
    """The table, in the order in which they run; empty where there are none."""
    if not calls:
        return ""
    measured = any(call.milliseconds is not None for call in calls)
    titles = {"#": "number", "call": "text", "of": "text", "phase": "text"}
    titles |= {"ms": "number", "roofline %": "number"} if measured else {}
    titles |= {"MB": "number", "MFLOP": "number", "lines": "text", "operations": "text"}
    rows = "\n".join(_row(at, call, measured=measured) for at, call in enumerate(calls))
    return f'<div class="scroll tall"><table class="calls">\n<tr>{heads(titles)}</tr>\n{rows}\n</table></div>'


def _row(at: int, call: CallRecord, *, measured: bool) -> str:
    name = escape(call.name)
    cells = [number(at, 0), f'<td class="name" title="{name}">{name}</td>']
    cells += [f"<td>{escape(text)}</td>" for text in (call.kind, call.phase)]
    if measured:
        share = None if call.roofline is None else 100 * call.roofline
        cells += [number(call.milliseconds, 3), number(share, 0)]
    cells += [number(call.num_bytes / 1e6, 2), number(call.flops / 1e6, 2)]
    lines = list(map(str, call.parts))
    cells += [_some("lines", call.places if call.parts else [], lines), _some("", call.operations, call.operations)]
    return f"<tr>{''.join(cells)}</tr>"


def _some(kind: str, short: Sequence[str], long: Sequence[str]) -> str:
    """A cell with the first of ``short``; all of ``long`` is its hint."""
    more = f" and {len(short) - _SHOWN} more" if len(short) > _SHOWN else ""
    told = escape(", ".join(short[:_SHOWN]) + more)
    return f'<td class="{kind}" title="{escape(chr(10).join(long))}">{told}</td>'
