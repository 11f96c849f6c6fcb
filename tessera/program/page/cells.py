"""Headings and cells of tables that can be sorted."""

from __future__ import annotations

from collections.abc import Mapping


def heads(titles: Mapping[str, str]) -> str:
    """Headings; each title with what its column holds, ``text`` or ``number``."""
    right = {"number": ' class="number"', "text": ""}
    return "".join(f'<th data-sort="{kind}"{right[kind]}>{title}</th>' for title, kind in titles.items())


def number(value: float | None, digits: int) -> str:
    """A cell with a number; an empty one for None."""
    if value is None:
        return '<td class="number"></td>'
    return f'<td class="number" data-value="{value:.6g}">{value:,.{digits}f}</td>'
