"""The data of a config: an object of the user's, or a table that makes a ``Loader`` over one of Tessera's sources."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tessera import data
from tessera.cli.calls import call, in_folder
from tessera.cli.config import Entry, nearest
from tessera.cli.objects import find_object
from tessera.data import Loader

_SOURCES: dict[str, Callable[..., data.Dataset]] = {
    "arrow": data.arrow,
    "huggingface": data.huggingface,
    "images": data.images,
    "parquet": data.parquet,
    "texts": data.texts,
    "tokens": data.tokens,
}
_STAGES = ("map", "filter")
_LOADER = tuple(inspect.signature(Loader).parameters)[1:]  # all but the source
_EXPECTED = (
    'Data is an object, as in "net.py:train", or a table: {name = "net.py:train", ...} with its arguments, or '
    '{source = "parquet", path = "train/*.parquet", batch_size = 32, ...}.'
)


def read_data(entry: Entry, *, seed: int | None, shuffle: bool) -> Any:
    """The data in an entry; a function or a class is called for it.

    Args:
        seed: of the order, where the entry says none.
        shuffle: likewise.

    Raises:
        SettingError: the entry has an unknown key, or no such object or source.
        TesseraError: what the source raises, the entry's line added.
    """
    if isinstance(entry.value, str):
        found = find_object(entry)
        return call(found, Entry(entry.config, entry.keys, {})) if _makes(found) else found
    table = entry.table(_EXPECTED)
    if "name" in table:
        return call(find_object(table["name"]), table.without("name"))
    if "source" not in table or "path" not in table:
        raise table.error(
            f"[{table.name}] has {', '.join(map(repr, table.value)) or 'no key'}.",
            _EXPECTED,
            f'Write for example {table.name} = {{source = "parquet", path = "train/*.parquet", batch_size = 32}}.',
        )
    return _loader(table, seed, shuffle)


def _loader(table: Entry, seed: int | None, shuffle: bool) -> Loader:
    source = table["source"]
    if not isinstance(source.value, str) or source.value not in _SOURCES:
        names = list(_SOURCES)
        raise source.error(
            f"There is no source {source.value!r}.",
            f"The sources are {', '.join(names)}.",
            nearest(str(source.value), names),
        )
    make = _SOURCES[source.value]
    options = tuple(inspect.signature(make).parameters)[1:]  # all but the path
    table.check_keys(("source", "path", *_STAGES, *options, *_LOADER))
    path = table["path"]
    if not all(isinstance(one, str) for one in (path.value if isinstance(path.value, list) else [path.value])):
        raise path.error(
            f"{path.name} = {path.value!r} was written.",
            "It is a path or a pattern, or an array of them.",
            'Write for example path = "train/*.parquet".',
        )
    found = call(make, table.without("source", "path", *_STAGES, *_LOADER), in_folder(path))
    for key, entry in table.items():
        if key in _STAGES:
            found = getattr(found, str(key))(_function(entry))
    chosen: dict[str, Any] = {"batch_size": 32, "shuffle": shuffle, "seed": seed or 0}
    chosen |= {str(key): one.value for key, one in table.items() if key in _LOADER}
    if "collate" in table:
        chosen["collate"] = _function(table["collate"])
    with table.blamed():
        return Loader(found, **chosen)


def _function(entry: Entry) -> Callable[..., Any]:
    found = find_object(entry)
    if callable(found):
        return found
    raise entry.error(
        f"{entry.value} is a {type(found).__name__}.",
        f"{entry.keys[-1]} is a function.",
        "Name a function of that file.",
    )


def _makes(found: object) -> bool:
    return inspect.isroutine(found) or isinstance(found, type)
