"""`tessera check`: verify every annotated function of files and packages, without data and without a device."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.errors import SettingError

if TYPE_CHECKING:
    from tessera.check.finding import CheckReport, Finding

_DESCRIPTION = """\
Verifies annotated functions and modules for all sizes at once, as a type checker does for types.

  tessera check model.py                     # one file
  tessera check src/                         # every file below a folder
  tessera check src/ --format github         # as annotations of a pull request
  tessera check model.py --watch             # again whenever a file changes
"""
_EPILOG = """\
Files that annotate tensors (Tensor["B", 512], or jaxtyping's Float[Tensor, "b n"]) are imported, so what stands outside
of functions runs; put a training loop under `if __name__ == "__main__":`. Modules are made without memory.
Exit codes: 0 (warnings and notes at most), 1 (an error was found), 2 (nothing could be checked: no such path).
"""
_SKIPPED = {"__pycache__", "build", "dist", "node_modules", "site-packages"}
_POLL_S = 0.5


def add_command(commands: Any) -> None:
    """Add ``check`` to the commands of a parser."""
    parser = commands.add_parser(
        "check",
        help="verify the shapes that functions declare",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a file or a folder")
    parser.add_argument("--format", choices=("text", "json", "github"), default="text", help="text by default")
    parser.add_argument("--watch", action="store_true", help="check again whenever a file changes, until interrupted")
    parser.add_argument("--traceback", action="store_true", help="show where in Tessera an error was raised")
    parser.set_defaults(run=_run, code_of_error=2)


def _run(found: argparse.Namespace) -> int:
    files = _files(found.paths)
    if found.watch:
        return _watch(found)
    with _seldom_collected():
        from tessera.check.files import check_files

        report = check_files(files)
    print(_FORMATS[found.format](report))
    return 0 if report.ok else 1


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """Within, Python looks for garbage a hundredth as often: to look takes a tenth of a check."""
    usual = gc.get_threshold()
    gc.set_threshold(100 * usual[0], *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = (file for file in sorted(path.rglob("*.py")) if _is_source(file.relative_to(path)))
            files += [file.resolve() for file in below]
        elif path.is_file():
            files.append(path.resolve())
        else:
            raise SettingError(
                f"tessera check was given {str(path)!r}, and there is no such file or folder.",
                "It takes Python files, and folders with Python files in them.",
                "Check the path, or write tessera check . for all below this folder.",
            )
    return list(dict.fromkeys(files))


def _is_source(path: Path) -> bool:
    return not any(part in _SKIPPED or part.startswith(".") for part in path.parts)


def _watch(found: argparse.Namespace) -> int:
    """A process of its own each time: what was imported stays as it was."""
    command = [sys.executable, "-m", "tessera", "check", *map(str, found.paths), "--format", found.format]
    seen: dict[Path, float] = {}
    while True:
        now = {file: file.stat().st_mtime for file in _files(found.paths) if file.exists()}
        if now != seen:
            seen = now
            subprocess.run(command, check=False)  # noqa: S603 - this program
            print(f"watching {len(now)} files", flush=True)
        time.sleep(_POLL_S)


def _as_text(report: CheckReport) -> str:
    return str(report)


def _as_json(report: CheckReport) -> str:
    content = {
        "errors": [finding.as_json() for finding in report.errors],
        "warnings": [finding.as_json() for finding in report.warnings],
        "notes": report.notes,
        "checked": report.checked,
    }
    return json.dumps(content, indent=2)


def _as_github(report: CheckReport) -> str:
    return "\n".join([*map(_annotation, report.findings), str(report).rpartition("\n")[2]])


def _annotation(finding: Finding) -> str:
    """One line that GitHub Actions shows beside the code."""
    file = finding.file
    if Path(file).is_relative_to(Path.cwd()):
        file = str(Path(file).relative_to(Path.cwd()))
    fixes = "".join(f"\n{n}. {fix}" for n, fix in enumerate(finding.fixes, 1))
    message = _escaped(f"{finding.message}{fixes}")
    title, file = (_escaped(text).replace(",", "%2C").replace(":", "%3A") for text in (finding.headline, file))
    return f"::{finding.severity} file={file},line={finding.line},title={title}::{message}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


_FORMATS = {"text": _as_text, "json": _as_json, "github": _as_github}
