"""`tessera report`: what the last compilation did, as text, JSON or a page."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tessera.errors import SettingError

_DESCRIPTION = """\
Shows a Report: what was captured, what each pass did, how long it took, and what ran eagerly, where and why.

  tessera report                         # of the last program on this machine that compiled anything
  tessera report runs/digits             # of a run
  tessera report report.json --html report.html
"""
_EPILOG = """\
The last Report is kept in $XDG_CACHE_HOME/tessera/last_report.json, ~/.cache/tessera by default. Of several programs
it is that of the one that compiled last.
"""


def add_command(commands: Any) -> None:
    """Add ``report`` to the commands of a parser."""
    parser = commands.add_parser(
        "report",
        help="what the last compilation did, as text, JSON or an HTML page",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", type=Path, nargs="?", help="the JSON of a Report, or a run's folder")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--html", metavar="FILE", type=Path, help="write a page that needs nothing beside it")
    form.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--traceback", action="store_true", help="show where in Tessera an error was raised")
    parser.set_defaults(run=_run)


def _run(found: argparse.Namespace) -> int:
    from tessera.program.report_json import read_report

    path = _file(found.path)
    text = _text(path)
    report, origin = read_report(text, str(path)), _origin(path, text)
    if found.html is not None:
        from tessera.program.page.page import page

        try:
            found.html.write_text(page(report, origin), encoding="utf-8")
        except OSError as error:
            raise SettingError(
                f"{found.html} cannot be written: {error.strerror}.",
                "The page is a file in a folder that is there.",
                "Write another path.",
            ) from error
        print(found.html)
    else:
        print(report.to_json() if found.json else f"{report}\n{origin}")
    return 0


def _file(path: Path | None) -> Path:
    from tessera.program.last_report import FILE, cache_folder

    if path is None:
        return cache_folder() / FILE
    return path / "report.json" if path.is_dir() else path


def _origin(path: Path, text: str) -> str:
    """Which program the Report is of, where that is known, and when it was written."""
    program = json.loads(text).get("program", path)
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC).astimezone()
    return f"{program}, {written:%Y-%m-%d %H:%M}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingError(
            f"There is no Report in {path}: {reason}.",
            "The last one is kept whenever tessera.compile, train_step or fit compiles; a run has a report.json.",
            "Run a program that compiles, or pass the JSON of a Report or the folder of a run.",
        ) from error
