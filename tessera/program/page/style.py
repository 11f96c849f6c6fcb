"""How the page looks and the little that moves in it: light or dark as the reader's system is."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --forward: #3d7dca; --backward: #b9558a; --clip: #7c6fc0;
  --update: #c98a1c; --check: #5d8f4b; --other: #8b97a5; --ink: #1c2430;
  --soft: #5d6b7e; --line: #dfe4ea; --paper: #f6f7f9; --card: #fff;
  --capture: #3d7dca; --passes: #e0a030; --inductor: #6a9a58; --warn: #b4530a; --warn-paper: #fdf3e7; }
@media (prefers-color-scheme: dark) { :root { --forward: #5b9ae6; --backward: #dd84ae; --clip: #a598e0;
  --update: #e3b04f; --check: #86b874; --other: #76838f; --ink: #e4e9f0; --soft: #98a5b6; --line: #313a46;
  --paper: #14181e; --card: #1b2129; --capture: #5b9ae6; --passes: #e3b04f; --inductor: #86b874; --warn: #f0a35c;
  --warn-paper: #2b2219; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
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
table.passes td:last-child:not(:empty) { min-width: 14rem; }
td:first-child { font-family: ui-monospace, monospace; font-size: .85rem; }
ul { margin: .75rem 0 0; padding-left: 1.2rem; color: var(--soft); overflow-wrap: anywhere; }
details { margin: 1rem 0 0; }
summary { cursor: pointer; font-weight: 600; }
summary small { color: var(--soft); font-weight: 400; margin-left: .4rem; }
th[data-sort] { cursor: pointer; }
th[data-sort]:hover, th[aria-sort] { color: var(--ink); }
th[aria-sort="descending"]::after { content: " \\2193"; }
th[aria-sort="ascending"]::after { content: " \\2191"; }
table.calls td { font-size: .85rem; }
td.line { min-width: 16rem; width: 100%; overflow-wrap: anywhere; }
table.calls td { white-space: nowrap; }
table.calls td.name { max-width: 15rem; overflow: hidden; text-overflow: ellipsis; }
.tall { max-height: 26rem; overflow: auto; }
.tall th { position: sticky; top: 0; background: var(--card); }
code { font: .92em ui-monospace, monospace; color: var(--soft); }
svg { display: block; max-width: none; font: 11px system-ui, sans-serif; }
svg text { fill: var(--soft); }
svg .axis { stroke: var(--line); fill: none; }
svg .edge { fill: none; stroke: var(--soft); stroke-opacity: .22; }
svg .edge.lit { stroke: var(--ink); stroke-opacity: .9; stroke-width: 1.5; }
svg .call { stroke: var(--card); stroke-width: 1; }
svg .call:hover, svg .buffer:hover { fill: var(--ink); }
svg .buffer { stroke: var(--card); stroke-width: .5; }
svg .library { fill-opacity: .6; }
.phase-forward { fill: var(--forward); background: var(--forward); }
.phase-backward { fill: var(--backward); background: var(--backward); }
.phase-clip { fill: var(--clip); background: var(--clip); }
.phase-update { fill: var(--update); background: var(--update); }
.phase-check { fill: var(--check); background: var(--check); }
.phase- { fill: var(--other); background: var(--other); }
footer { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) { main { padding: 1.25rem .75rem 2rem; } section { padding: .9rem; }
  h1 { font-size: 1.4rem; } td.line { min-width: 10rem; } .totals { grid-template-columns: repeat(3, 1fr); gap: .4rem; }
  .totals div { padding: .45rem .6rem; } .totals dd { font-size: 1.1rem; } }
@media print { body { background: none; } section, .totals div { break-inside: avoid; } }
"""

# A click on a heading sorts its table; a call under the pointer, or touched, shows what it reads and who reads it.
SCRIPT = """
for (const head of document.querySelectorAll("th[data-sort]")) head.addEventListener("click", () => {
  const table = head.closest("table"), at = head.cellIndex, up = head.getAttribute("aria-sort") === "descending";
  const rows = [...table.rows].slice(1), number = head.dataset.sort === "number";
  const value = row => { const cell = row.cells[at]; return number ? +(cell.dataset.value || -1) : cell.textContent; };
  rows.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (up ? 1 : -1));
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
});
for (const call of document.querySelectorAll("svg .call")) {
  const at = call.dataset.at, edges = `[data-from="${at}"], [data-to="${at}"]`;
  const light = on => call.ownerSVGElement.querySelectorAll(edges).forEach(edge => edge.classList.toggle("lit", on));
  call.addEventListener("pointerenter", () => light(true));
  call.addEventListener("pointerleave", () => light(false));
}
"""
