"""Paths and patterns to files, and what is said of files that cannot be read."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tessera.errors import DataError, EmptyDatasetError, MissingDependencyError

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def files(paths: Paths, suffixes: tuple[str, ...]) -> list[Path]:
    """The files that ``paths`` names: a file, a folder, a pattern such as ``"train/*.parquet"``, or several of them.

    Folders and patterns give their files in the order of their names. In a folder those count that end in one of
    ``suffixes``, which are in lower case, also in upper case.

    Raises:
        EmptyDatasetError: there is none.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found = [path for one in given for path in _matching(os.fspath(one), suffixes)]
    if not found:
        shown = ", ".join(repr(os.fspath(one)) for one in given) or "An empty list of paths"
        raise EmptyDatasetError(
            f"{shown} names no file.",
            f"A path is a file, a pattern, or a folder with files that end in {' or '.join(suffixes)}.",
            "Check the path; it is looked up from the current directory.",
        )
    return found


def described(paths: list[Path]) -> list[list[Any]]:
    """Name and size in bytes of each: what would differ if they were other files."""
    return [[path.name, path.stat().st_size] for path in paths]


def unreadable(path: Path, what: str, error: BaseException) -> DataError:
    """The error for a file that cannot be read, or for the part of one that ``what`` names."""
    return DataError(
        f"{path}{what} cannot be read: {type(error).__name__}: {str(error).strip().removesuffix('.')}.",
        "The file is whole and of the format that its name says.",
        "Write it again, or leave it out" + ("; Loader(..., on_error='skip') leaves out these rows." if what else "."),
    )


def null(row: str, column: str) -> DataError:
    """The error for a number that is not there."""
    return DataError(
        f"{row}: column {column!r} is null.",
        "Columns of numbers have a number in every row: a tensor has no place for null.",
        "Fill it in the file, leave the column out with columns=[...], or leave such rows out with "
        "Loader(..., on_error='skip').",
    )


def missing(package: str, extra: str) -> MissingDependencyError:
    """The error for an optional package that is not installed."""
    return MissingDependencyError(
        f"{package} is not installed.",
        f"It reads data of this kind, and comes with the extra {extra!r}.",
        f"Install it: pip install 'tessera[{extra}]'.",
    )


def _matching(path: str, suffixes: tuple[str, ...]) -> list[Path]:
    if Path(path).is_dir():
        return sorted(file for file in _inside(path, ()) if file.suffix.lower() in suffixes)
    if Path(path).is_file():
        return [Path(path)]
    return sorted(Path(match) for match in glob.glob(path, recursive=True) if Path(match).is_file())  # noqa: PTH207 - a Path has no pattern that begins at the root


def _inside(folder: str, above: tuple[str, ...]) -> Iterator[Path]:
    """The files in ``folder`` and below, but for hidden ones, which a pattern leaves out too. Links are followed."""
    real = os.path.realpath(folder)
    if real in above:  # a link to where we came from
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _inside(entry.path, (*above, real))
            elif entry.is_file():
                yield Path(entry.path)
