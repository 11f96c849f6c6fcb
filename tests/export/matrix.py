"""Prints architectures times formats: ``python -m tests.export.matrix [--of further] [--only gpt2,t5] [--log FILE]``.

Every cell is a process of its own; with a log, what stands in it is not run again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from tessera.export.formats import format_of, missing_packages
from tests.export.architectures import ARCHITECTURES
from tests.export.cells import PASSED, REFUSED, WRONG, Cell, run_cell
from tests.export.further_architectures import FURTHER
from tests.export.stranger_architectures import STRANGERS

LISTS = {"known": ARCHITECTURES, "further": FURTHER, "strangers": STRANGERS}
ENDINGS = (".onnx", ".pt2", ".pte")
_MARK = "cell: "
_PATIENCE_S = 1200


def in_process(name: str, ending: str) -> Cell:
    """One cell in a process of its own; one that dies, or never ends, is wrong."""
    command = [sys.executable, "-m", "tests.export.matrix", "--cell", name, ending]
    path = os.pathsep.join(entry or "." for entry in sys.path)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        return Cell(name, ending, WRONG, f"no end in {_PATIENCE_S} seconds", _PATIENCE_S)
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return Cell(**json.loads(line.removeprefix(_MARK)))
    return Cell(name, ending, WRONG, f"status {done.returncode}: {done.stderr.strip()[-400:]}", 0.0)


def as_table(cells: list[Cell]) -> str:
    """A row an architecture, a column a format, the share that passes, and why the rest does not."""
    found = {(cell.name, cell.ending): cell for cell in cells}
    names, endings = dict.fromkeys(cell.name for cell in cells), dict.fromkeys(cell.ending for cell in cells)
    wide = max(map(len, names))
    lines = [" ".join([" " * wide, *(f"{ending:>8}" for ending in endings)])]
    for name in names:
        outcomes = [found[name, ending].outcome if (name, ending) in found else "" for ending in endings]
        lines.append(" ".join([f"{name:<{wide}}", *(f"{outcome:>8}" for outcome in outcomes)]))
    counts = {outcome: sum(cell.outcome == outcome for cell in cells) for outcome in (PASSED, REFUSED, WRONG)}
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    lines.append(f"{len(cells)} cells: {said} ({counts[PASSED] / len(cells):.0%} pass)")
    lines += [f"{cell.name} {cell.ending}: {cell.detail}" for cell in cells if cell.outcome != PASSED]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", nargs=2, help="one cell, as a line of JSON")
    parser.add_argument("--of", choices=LISTS, default="known", help="which list of architectures")
    parser.add_argument("--only", default="")
    parser.add_argument("--formats", default=",".join(ENDINGS))
    parser.add_argument("--log", type=Path)
    chosen = parser.parse_args()
    if chosen.cell:
        print(_MARK + json.dumps(dataclasses.asdict(run_cell(*chosen.cell))), flush=True)  # noqa: T201
        return
    names = chosen.only.split(",") if chosen.only else list(LISTS[chosen.of])
    logged = [Cell(**json.loads(line)) for line in chosen.log.read_text().splitlines()] if _is(chosen.log) else []
    known = {(cell.name, cell.ending): cell for cell in logged}
    cells = []
    for ending in chosen.formats.split(","):
        if missing := missing_packages(format_of(Path(f"model{ending}"))):
            print(f"{ending}: {', '.join(missing)} is not installed")  # noqa: T201
            continue
        for name in names:
            cell = known.get((name, ending)) or in_process(name, ending)
            cells.append(cell)
            if chosen.log and (name, ending) not in known:
                with chosen.log.open("a") as log:
                    log.write(json.dumps(dataclasses.asdict(cell)) + "\n")
            print(f"{cell.outcome} {name} {ending} {cell.seconds:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
    print(as_table(cells))  # noqa: T201


def _is(path: Path | None) -> bool:
    return path is not None and path.exists()


if __name__ == "__main__":
    main()
