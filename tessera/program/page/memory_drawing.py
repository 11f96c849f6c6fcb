"""The memory of a compiled Program drawn over its calls: the largest buffers one by one, the others together."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tessera.program.buffer_life import BufferLife, live_bytes
from tessera.program.call_record import CallRecord

_DRAWN = 40  # buffers
_NAMED = 8  # of those alive at the peak
_WIDTH, _HEIGHT, _LEFT, _TOP = 1000, 220, 74, 8
_TURN = 47  # degrees from one colour to the next


def memory_drawing(memory: Sequence[BufferLife], calls: Sequence[CallRecord]) -> str:
    """An SVG and what is alive at the peak; empty where nothing is allocated."""
    live = live_bytes(memory, len(calls))
    peak = max(live, default=0)
    if not peak:
        return ""
    drawn = sorted(memory, key=lambda life: -life.num_bytes)[:_DRAWN]
    others = live_bytes([life for life in memory if life not in drawn], len(calls))
    x, y = (_WIDTH - _LEFT - 10) / len(calls), _HEIGHT / peak
    floor = list(others)
    shapes = [_shape([0] * len(calls), others, 0, x, y, "other", "buffers that are smaller, together")]
    for at, life in enumerate(sorted(drawn, key=lambda life: life.begin)):
        span = range(life.begin, min(life.end, len(calls)))
        below = [floor[call] for call in span]
        for call in span:
            floor[call] += life.num_bytes
        hint = (
            f"{life.name}: {_size(life.num_bytes)}, calls {life.begin} to {life.end - 1}, made by {_maker(life, calls)}"
        )
        shapes.append(_shape(below, [floor[call] for call in span], life.begin, x, y, at, hint))
    top = live.index(peak)
    axis = "".join(
        f'<path class="axis" d="M{_LEFT} {_y(part * peak, y):.1f}H{_WIDTH - 10}"/>'
        f'<text x="2" y="{_y(part * peak, y) + 4:.1f}">{_size(part * peak)}</text>'
        for part in (0, 0.5, 1)
    )
    inside = "\n".join([axis, *shapes])
    alive = sorted((one for one in memory if one.begin <= top < one.end), key=lambda one: -one.num_bytes)
    held = "".join(
        f"<li>{escape(f'{_size(one.num_bytes)} {one.name}, made by {_maker(one, calls)}')}</li>"
        for one in alive[:_NAMED]
    )
    size = f'width="{_WIDTH}" height="{_HEIGHT + 2 * _TOP}" viewBox="0 0 {_WIDTH} {_HEIGHT + 2 * _TOP}"'
    return (
        f'<div class="scroll"><svg {size} role="img" aria-label="memory over the calls">\n{inside}\n</svg></div>'
        f"<p>{_size(peak)} at the peak, in call {top} ({escape(', '.join(calls[top].places[:2]))}), besides what it is "
        f"given: parameters, state, batch. The largest then:</p><ul>{held}</ul>"
    )


def _y(num_bytes: float, scale: float) -> float:
    return _TOP + _HEIGHT - num_bytes * scale


def _shape(
    below: Sequence[float], above: Sequence[float], begin: int, x: float, y: float, colour: int | str, hint: str
) -> str:
    """A buffer from ``begin`` on: at each call it lies between two heights."""
    if not above:
        return ""
    upper = _steps(above, begin, x, y)
    lower = _steps(below, begin, x, y)[::-1]
    points = " ".join(f"{u:.1f},{v:.1f}" for u, v in [*upper, *lower])
    paint = (
        'class="buffer phase-"'
        if isinstance(colour, str)
        else f'class="buffer" fill="hsl({colour * _TURN % 360} 45% 55%)"'
    )
    return f'<polygon {paint} points="{points}"><title>{escape(hint)}</title></polygon>'


def _steps(heights: Sequence[float], begin: int, x: float, y: float) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for at, height in enumerate(heights):
        if at == 0 or height != heights[at - 1]:
            points += [
                (_LEFT + (begin + at) * x, _y(heights[max(at - 1, 0)], y)),
                (_LEFT + (begin + at) * x, _y(height, y)),
            ]
    return [*points, (_LEFT + (begin + len(heights)) * x, _y(heights[-1], y))]


def _maker(life: BufferLife, calls: Sequence[CallRecord]) -> str:
    if life.begin >= len(calls):
        return "the last statement"
    return f"{calls[life.begin].name} ({', '.join(calls[life.begin].places[:2])})"


def _size(num_bytes: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{num_bytes:.0f} B"
