"""Check the annotated functions of Python files: import each, and check what was written in it."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from tessera.check.check import check
from tessera.check.finding import CheckReport, Finding
from tessera.errors import AnnotationError, SourceLine
from tessera.nn.declared import verified_later
from tessera.users_code import source_line_at

_WORDS = ("Tensor[", "jaxtyping")  # a file without any of these annotates no sizes


def check_files(files: Sequence[Path]) -> CheckReport:
    """Check every annotated function and module in ``files``; what cannot be imported is an error with its line."""
    report = CheckReport()
    for file in files:
        if not any(word in file.read_text(encoding="utf-8", errors="replace") for word in _WORDS):
            continue
        try:
            with verified_later(), _importable(file) as name:
                module = importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - the user's file may raise anything
            report.add(_not_imported(file, error))
            continue
        if not _is_file(module, file):
            note = f"{file} was not checked: its name {name} is that of another module, {module.__file__}."
            report.notes.append(note)
            continue
        report.merge(check(module))
    return report


@contextmanager
def _importable(file: Path) -> Iterator[str]:
    """The name under which a file can be imported, from the folder above its outermost package."""
    folder, parts = file.parent, [] if file.stem == "__init__" else [file.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    sys.path.insert(0, str(folder))
    try:
        yield ".".join(parts)
    finally:
        sys.path.remove(str(folder))


def _is_file(module: ModuleType, file: Path) -> bool:
    return module.__file__ is not None and Path(module.__file__).resolve() == file


def _not_imported(file: Path, error: Exception) -> Finding:
    """A finding at the line of the file that raised."""
    if isinstance(error, SyntaxError) and error.filename:
        where = SourceLine(error.filename, error.lineno or 1, (error.text or "").strip())
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).resolve() == file]
        where = source_line_at(str(file), own[-1].lineno or 1) if own else SourceLine(str(file), 1)
    if isinstance(error, AnnotationError):
        where = source_line_at(error.where.file, error.where.line) if error.where is not None else where
        return Finding(
            "annotation", "error", file.stem, where, f"{error.received} {error.expected}", fixes=(error.fix,)
        )
    return Finding("import", "error", file.stem, where, f"{type(error).__name__}: {str(error).rstrip('.')}.")
