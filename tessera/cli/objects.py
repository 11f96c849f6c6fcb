"""What `"file.py:name"` in a config means: an object in the user's code."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tessera.cli.config import Entry, nearest


def is_reference(value: object) -> bool:
    """Whether a value names an object: ``"net.py:Net"``, or ``"package.module:Net"`` of something installed."""
    return isinstance(value, str) and ":" in value


def find_object(entry: Entry) -> Any:
    """The object that a config's entry names. Its file is imported, as a module beside which others can be imported.

    Raises:
        SettingError: the entry is no such name, there is no such file, or no such object in it.
    """
    place, _, name = entry.value.partition(":") if is_reference(entry.value) else ("", "", "")
    if not place or not name:
        raise entry.error(
            f"{entry.name} = {entry.value!r} names no object.",
            'An object is written "file.py:name", its path relative to the config.',
            f'Write for example {entry.keys[-1]} = "net.py:Net".',
        )
    found: Any = _imported(place, entry)
    for part in name.split("."):
        if not hasattr(found, part):
            names = [one for one in vars(found) if not one.startswith("_")] if hasattr(found, "__dict__") else []
            raise entry.error(
                f"{place} has no {name!r}.",
                f"It has {', '.join(names) or 'nothing'}."
                if len(names) <= 30
                else "The name is one that stands in it.",
                nearest(part, names),
            )
        found = getattr(found, part)
    return found


def _imported(place: str, entry: Entry) -> ModuleType:
    if place.endswith(".py"):
        path = Path(os.path.abspath(entry.config.path.parent / place))  # noqa: PTH100 - a link stays what it is called
        folder, module = str(path.parent), path.stem
        if not path.is_file():
            raise entry.error(
                f"{entry.name} names {place!r}, and there is no file {path}.",
                "Paths in a config are relative to the config's own folder.",
                "Check the path.",
            )
    elif place.startswith("."):
        raise entry.error(
            f"{entry.name} names {place!r}, which is neither a file nor a module.",
            'An object is written "file.py:name", or "package.module:name" of what is installed.',
            f'Write the file, as in {entry.keys[-1]} = "net.py:Net".',
        )
    else:
        path, folder, module = None, str(Path(entry.config.path.parent).resolve()), place
    # The first place that is looked at, as of a script that stands there; workers look there too.
    sys.path[:] = [folder, *(one for one in sys.path if one != folder)]
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[: error.name.count(".") + 1] != error.name.split("."):
            raise  # something that the module imports
        raise entry.error(
            f"{entry.name} names {place!r}, and there is no such module.",
            'An object is written "file.py:name", or "package.module:name" of what is installed.',
            "Check the name.",
        ) from error
    if path is not None and not _is_file(found, path):
        raise entry.error(
            f"{place} has the name of another module, {getattr(found, '__file__', None) or 'one that is built in'}.",
            "Workers find a function by the name of its module, so a file has a name of its own.",
            f"Rename it, for example to my_{path.name}.",
        )
    return found


def _is_file(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and os.path.exists(file) and os.path.samefile(file, path)  # noqa: PTH110, PTH121 - text from Python
