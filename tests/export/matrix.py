"""Prints architectures times formats: ``python -m tests.export.matrix [--of further] [--only gpt2,t5] [--log FILE]``.

Cells run in a process apart, which may die; with a log, what stands in it is not run again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tessera.export.formats import format_of, missing_packages
from tests.export.architectures import ARCHITECTURES
from tests.export.cells import PASSED, REFUSED, WRONG, Cell, run_cell
from tests.export.further_architectures import FURTHER
from tests.export.newcomers.listed import NEWCOMERS
from tests.export.stranger_architectures import STRANGERS

LISTS = {"known": ARCHITECTURES, "further": FURTHER, "strangers": STRANGERS, "newcomers": NEWCOMERS}
ENDINGS = (".onnx", ".pt2", ".pte")
_MARK = "cell: "
_PATIENCE_S = 1200


def in_process(names: Sequence[str], ending: str) -> Iterator[Cell]:
    """These cells in a process apart; one that dies, or never ends, is wrong, and the rest goes on in another."""
    left = list(names)
    while left:
        command = [sys.executable, "-m", "tests.export.matrix", "--cells", ending, *left]
        path = os.pathsep.join(entry or "." for entry in sys.path)
        with (
            tempfile.TemporaryFile("w+") as words,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=words, text=True, env={**os.environ, "PYTHONPATH": path}
            ) as process,
        ):
            assert process.stdout is not None
            watch = threading.Timer(_PATIENCE_S * len(left), process.kill)
            watch.start()
            for line in process.stdout:
                if line.startswith(_MARK):
                    yield Cell(**json.loads(line.removeprefix(_MARK)))
                    left.pop(0)
            process.wait()
            watch.cancel()
            words.seek(0)
            if left:
                yield Cell(
                    left.pop(0), ending, WRONG, f"status {process.returncode}: {words.read().strip()[-400:]}", 0.0
                )


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
    parser.add_argument("--cells", nargs="+", help="a format and architectures: each cell as a line of JSON")
    parser.add_argument("--of", choices=LISTS, default="known", help="which list of architectures")
    parser.add_argument("--only", default="")
    parser.add_argument("--formats", default=",".join(ENDINGS))
    parser.add_argument("--log", type=Path)
    chosen = parser.parse_args()
    if chosen.cells:
        ending, *names = chosen.cells
        for name in names:
            print(_MARK + json.dumps(dataclasses.asdict(run_cell(name, ending))), flush=True)  # noqa: T201
        return
    names = chosen.only.split(",") if chosen.only else list(LISTS[chosen.of])
    logged = [Cell(**json.loads(line)) for line in chosen.log.read_text().splitlines()] if _is(chosen.log) else []
    known = {(cell.name, cell.ending): cell for cell in logged}
    cells = []
    for ending in chosen.formats.split(","):
        if missing := missing_packages(format_of(Path(f"model{ending}"))):
            print(f"{ending}: {', '.join(missing)} is not installed")  # noqa: T201
            continue
        cells += [known[name, ending] for name in names if (name, ending) in known]
        for cell in in_process([name for name in names if (name, ending) not in known], ending):
            cells.append(cell)
            if chosen.log:
                with chosen.log.open("a") as log:
                    log.write(json.dumps(dataclasses.asdict(cell)) + "\n")
            print(f"{cell.outcome} {cell.name} {ending} {cell.seconds:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
    print(as_table(cells))  # noqa: T201


def _is(path: Path | None) -> bool:
    return path is not None and path.exists()


if __name__ == "__main__":
    main()
