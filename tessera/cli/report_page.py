"""A Report as a page: one HTML file that needs nothing beside it, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tessera.program.report import Compilation, PassRecord, Report, StepDown

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7e; --line: #dfe4ea; --paper: #f6f7f9; --card: #fff;
  --capture: #3d7dca; --passes: #e0a030; --inductor: #6a9a58; --warn: #b4530a; --warn-paper: #fdf3e7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --soft: #98a5b6; --line: #313a46; --paper: #14181e;
  --card: #1b2129; --capture: #5b9ae6; --passes: #e3b04f; --inductor: #86b874; --warn: #f0a35c;
  --warn-paper: #2b2219; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
.rung { color: var(--soft); margin: 0 0 1.5rem; }
.rung b { color: var(--ink); font-weight: 600; }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; }
.totals { margin: 0 0 1.5rem; }
.totals div, section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.totals div { padding: .75rem 1rem; }
.totals dt { color: var(--soft); font-size: .85rem; }
.totals dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
section { padding: 1.25rem; margin: 0 0 1rem; }
section.step-down { background: var(--warn-paper); border-left: .25rem solid var(--warn); }
section.step-down h2 { color: var(--warn); }
section > :last-child { margin-bottom: 0; }
p { margin: .5rem 0; }
pre { overflow-x: auto; margin: .5rem 0; padding: .6rem .8rem; border: 1px solid var(--line); border-radius: .35rem;
  background: var(--card); font: .85rem/1.45 ui-monospace, monospace; }
.bar { display: flex; gap: 2px; height: .6rem; margin: .75rem 0 .4rem; border-radius: .3rem; overflow: hidden; }
.bar i, .key i { background: var(--colour); }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; color: var(--soft); font-size: .9rem; }
.key i { display: inline-block; width: .7rem; height: .7rem; border-radius: .15rem; margin-right: .4rem; }
.scroll { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
th { border-top: 0; color: var(--soft); font-weight: 500; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td:last-child:not(:empty) { min-width: 14rem; }
td:first-child { font-family: ui-monospace, monospace; font-size: .85rem; }
ul { margin: .75rem 0 0; padding-left: 1.2rem; color: var(--soft); }
footer { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
@media print { body { background: none; } section, .totals div { break-inside: avoid; } }
"""
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
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
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
    # The sentence of the text form: what it says of kernels and library calls is written once.
    fused = entry.lines()[1].strip()
    parts = [f"<section>\n<h2>{escape(entry.program)}</h2>", f"<p>{escape(fused)}, in {_seconds(entry):.2f} s.</p>"]
    parts.append(_times(entry))
    if entry.passes:
        heads = "".join(f"<th{_kind(name)}>{name}</th>" for name in _HEADINGS)
        rows = "\n".join(map(_pass, entry.passes))
        parts.append(f'<div class="scroll"><table>\n<tr>{heads}</tr>\n{rows}\n</table></div>')
    if entry.notes:
        parts.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in entry.notes) + "</ul>")
    return "\n".join([*parts, "</section>"])


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
