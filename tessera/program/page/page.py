"""The page: its sections from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tessera.program.page.calls_drawing import calls_drawing
from tessera.program.page.calls_table import calls_table
from tessera.program.page.lines_table import lines_table
from tessera.program.page.memory_drawing import memory_drawing
from tessera.program.page.style import SCRIPT, STYLE
from tessera.program.report import Compilation, PassRecord, Report, StepDown

_PHASES = (("capture", "capture"), ("passes", "pipeline"), ("Inductor", "inductor"))
_HEADINGS = ("pass", "promise", "matches", "operations", "seconds", "note")
_NUMBERS = {"matches", "operations", "seconds"}


def page(report: Report, origin: str) -> str:
    """The page; whatever stands in the Report is shown as text.

    Args:
        origin: which program it is of, and when it was written.
    """
    parts = [
        f"<h1>{escape(report.subject)}</h1>",
        f'<p class="rung">Runs as: <b>{escape(report.rung)}</b></p>',
        _totals(report),
        *map(_step_down, report.step_downs),
        *map(_compilation, report.compilations),
        f"<footer>{escape(origin)}</footer>",
    ]
    title = f"Report: {escape(report.subject)}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + f"\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _totals(report: Report) -> str:
    compiled = report.compilations
    told = {
        "programs": f"{len(compiled):,}",
        "seconds": f"{sum(map(_seconds, compiled)):.1f}",
        "operations": f"{sum(one.operations for one in compiled):,}",
        "kernels": f"{sum(one.kernels for one in compiled):,}",
        "library calls": f"{sum(one.external_calls for one in compiled):,}",
        "steps down": f"{len(report.step_downs):,}",
    }
    if measured := [one.milliseconds for one in compiled if one.milliseconds is not None]:
        told["ms measured"] = f"{sum(measured):.4g}"
    inside = "\n".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in told.items())
    return f'<dl class="totals">\n{inside}\n</dl>'


def _step_down(entry: StepDown) -> str:
    lines = [f'<section class="step-down">\n<h2>Stepped down to {escape(entry.rung)}</h2>']
    lines.append(f"<p>{escape(entry.reason)}</p>")
    if entry.where:
        place = f"{entry.where.file}:{entry.where.line}"
        lines.append(f"<pre>{escape(place)}\n{escape(entry.where.code)}</pre>")
    if entry.instead:
        lines.append(f"<p>{escape(entry.instead)}</p>")
    return "\n".join([*lines, "</section>"])


def _compilation(entry: Compilation) -> str:
    # The sentences of the text form: what it says of kernels and library calls is written once.
    fused, *told = [line.strip() for line in entry.summary()[1:]]
    told = [f"{fused}, in {_seconds(entry):.2f} s", *told]
    parts = [f"<section>\n<h2>{escape(entry.program)}</h2>", *(f"<p>{escape(line)}.</p>" for line in told)]
    parts.append(_times(entry))
    folds = {
        "What runs when": calls_drawing(entry.calls),
        "Memory": memory_drawing(entry.memory, entry.calls),
        "Your lines": lines_table(entry.calls),
        "Kernels and library calls": calls_table(entry.calls),
        "Passes": _passes(entry),
        "Notes": "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in entry.notes) + "</ul>" if entry.notes else "",
    }
    parts += [
        f"<details open>\n<summary>{name}</summary>\n{inside}\n</details>" for name, inside in folds.items() if inside
    ]
    return "\n".join([*parts, "</section>"])


def _passes(entry: Compilation) -> str:
    if not entry.passes:
        return ""
    heads = "".join(f"<th{_kind(name)}>{name}</th>" for name in _HEADINGS)
    rows = "\n".join(map(_pass, entry.passes))
    return f'<div class="scroll"><table class="passes">\n<tr>{heads}</tr>\n{rows}\n</table></div>'


def _times(entry: Compilation) -> str:
    """A bar whose parts are as long as the phases took, and what they are."""
    seconds = {name: getattr(entry, f"{field}_seconds") for name, field in _PHASES}
    colours = {name: f"--colour: var(--{name.lower()})" for name in seconds}
    bar = "".join(f'<i style="{colours[name]}; flex: {max(0.0, one):.4f}"></i>' for name, one in seconds.items())
    key = "".join(f'<span><i style="{colours[name]}"></i>{name} {one:.2f} s</span>' for name, one in seconds.items())
    return f'<div class="bar">{bar}</div>\n<div class="key">{key}</div>'


def _pass(record: PassRecord) -> str:
    cells: Sequence[str] = (
        record.name,
        record.promise,
        f"{record.matches:,}",
        f"{record.operations_before:,} → {record.operations_after:,}",
        f"{record.seconds:.3f}",
        record.note,
    )
    inside = "".join(f"<td{_kind(name)}>{escape(one)}</td>" for name, one in zip(_HEADINGS, cells, strict=True))
    return f"<tr>{inside}</tr>"


def _kind(heading: str) -> str:
    return ' class="number"' if heading in _NUMBERS else ""


def _seconds(entry: Compilation) -> float:
    return entry.capture_seconds + entry.pipeline_seconds + entry.inductor_seconds
