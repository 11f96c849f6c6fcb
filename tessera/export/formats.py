"""Which format an ending stands for. A format's file is imported when one of its endings is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from tessera.errors import ExportError, MissingDependencyError
from tessera.export.format import Format

# Ending: the file of this folder that holds its FORMAT.
_FILES = {
    ".onnx": "onnx",
    ".pt2": "aot_inductor",
    ".tessera": "artefact",
    ".tensorrt": "tensorrt",
    ".engine": "tensorrt",
    ".safetensors": "safetensors",
    ".pte": "executorch",
    ".xml": "openvino",
    ".tflite": "tflite",
    ".stablehlo": "stablehlo",
}
ENDINGS = tuple(_FILES)


def format_of(path: Path) -> Format:
    """The format that the ending of ``path`` stands for.

    Raises:
        ExportError: none.
    """
    if path.suffix not in _FILES:
        raise ExportError(
            f"The file to export to is {path.name!r}.",
            f"The ending chooses the format: {' or '.join(ENDINGS)}.",
            f"Write for example model.export({path.stem + ENDINGS[0]!r}).",
        )
    return _read(_FILES[path.suffix])


def all_formats() -> list[Format]:
    """Every format, once."""
    return [_read(file) for file in dict.fromkeys(_FILES.values())]


def missing_packages(form: Format) -> list[str]:
    """Those of the format's packages that are not installed."""
    return [package for package in form.packages if not _is_there(package)]


def require(form: Format, asked: str = "") -> None:
    """Import what the format needs.

    Args:
        asked: what it is needed for, where it is no export.

    Raises:
        MissingDependencyError: a package is not there, or cannot be imported; with the line that installs it.
    """
    for package in form.packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(
                f"{asked or f'An export to {form.name} was asked for'}, and the package {package} is not installed.",
                f"Writing and checking {form.name} needs {_listed(form.packages)}.",
                f"Install them with: {form.install}" if len(form.packages) > 1 else f"Install it with: {form.install}",
            ) from error


def _read(file: str) -> Format:
    form: Format = importlib.import_module(f"tessera.export.{file}").FORMAT
    return form


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # its parent is not there; it was set to None
        return False


def _listed(words: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
