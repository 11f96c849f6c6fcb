"""The compiled graph drawn: a box for each call, from left to right as they run, in lanes by the phase of the job.

A box is as wide as its time where that was measured; a line goes from each call to those that read its results.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tessera.program.call_record import CallRecord

_LANES = ("forward", "backward", "clip", "update", "check", "")
_LANE, _BOX, _TOP, _LEFT = 58, 26, 14, 74  # heights of a lane and of a box, margins
_WIDTH, _LEAST = 1000, 7  # of the drawing at least, of a box
_LABEL = 7  # pixels a letter


def calls_drawing(calls: Sequence[CallRecord]) -> str:
    """An SVG; empty where there is nothing to draw."""
    if not calls:
        return ""
    lanes = [lane for lane in _LANES if any(_phase(call) == lane for call in calls)]
    widths = _widths(calls)
    starts = [_LEFT + sum(widths[:at]) for at in range(len(calls))]
    tops = [_TOP + lanes.index(_phase(call)) * _LANE for call in calls]
    width, height = starts[-1] + widths[-1] + 10, _TOP + len(lanes) * _LANE
    parts = [
        f'<text x="2" y="{_TOP + at * _LANE + _BOX / 2 + 4:.0f}">{escape(lane) or "other"}</text>'
        for at, lane in enumerate(lanes)
    ]
    middles = [start + each / 2 for start, each in zip(starts, widths, strict=True)]
    pairs = [(of, at) for at, call in enumerate(calls) for of in call.reads]
    parts += [_edge(of, at, (middles[of], tops[of]), (middles[at], tops[at])) for of, at in pairs]
    parts += [_box(at, call, starts[at], tops[at], widths[at]) for at, call in enumerate(calls)]
    inside = "\n".join(parts)
    return (
        f'<div class="scroll"><svg width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}" role="img" '
        f'aria-label="calls in the order in which they run">\n{inside}\n</svg></div>'
        '<p class="key">A box is a call; point at one to see what it reads and what reads it.</p>'
    )


def _phase(call: CallRecord) -> str:
    return call.phase if call.phase in _LANES else ""


def _widths(calls: Sequence[CallRecord]) -> list[float]:
    """Of the boxes: as their times, where those were measured, and none too small to be met by a finger."""
    times = [call.milliseconds or 0.0 for call in calls]
    total, room = sum(times), max(_WIDTH - _LEFT - _LEAST * len(calls), 0)
    return [_LEAST + room * (time / total if total else 1 / len(calls)) for time in times]


def _edge(of: int, to: int, begin: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (u, v) = begin, end
    y, v = (y + _BOX, v) if y < v else (y + _BOX, v + _BOX)
    deep = max(y, v) + min(24.0, 6 + (u - x) / 12)
    bend = (
        f"C{x:.1f} {deep:.1f} {u:.1f} {deep:.1f}" if y == v else f"C{x:.1f} {(y + v) / 2:.1f} {u:.1f} {(y + v) / 2:.1f}"
    )
    return f'<path class="edge" data-from="{of}" data-to="{to}" d="M{x:.1f} {y:.1f}{bend} {u:.1f} {v:.1f}"/>'


def _box(at: int, call: CallRecord, x: float, y: float, width: float) -> str:
    hint = escape("\n".join([f"{at}: {call}", *map(str, call.parts), ", ".join(call.operations)]))
    kind = f"call phase-{_phase(call)}" + (" library" if call.kind == "library" else "")
    box = (
        f'<rect class="{kind}" data-at="{at}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BOX}" rx="3">'
        f"<title>{hint}</title></rect>"
    )
    name = (call.operations or [call.name])[-1].rsplit(".", 1)[-1]
    fits = (len(name) + 1) * _LABEL <= width
    label = f'<text x="{x + 2:.1f}" y="{y - 3}">{escape(name)}</text>' if fits else ""
    return box + label
