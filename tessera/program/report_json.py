"""A Report from the JSON that it was written as."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tessera.errors import SettingError
from tessera.program.report import Report


def read_report(text: str, name: str) -> Report:
    """The Report in ``text``: its own JSON, or any with a Report under ``report``, as that of a History.

    Args:
        name: what errors call the text.

    Raises:
        SettingError: there is no Report in it.
    """
    try:
        found = json.loads(text)
        return _read(Report, found["report"] if isinstance(found, dict) and "report" in found else found)
    except (ValueError, TypeError, RecursionError) as error:
        raise SettingError(
            f"{name} holds no Report: {str(error).removesuffix('.')}.",
            "A Report is JSON, written by this version of Tessera.",
            "Pass a file that report.to_json() or history.to_json() was written to, or the folder of a run.",
        ) from error


def _read(kind: Any, value: Any) -> Any:
    """``value`` as ``kind``, every part of it checked: what is wrong in a file comes to light here and not later."""
    if isinstance(kind, UnionType):  # of something and None
        return None if value is None else _read(next(one for one in get_args(kind) if one is not NoneType), value)
    if isinstance(kind, type) and is_dataclass(kind):
        fields, given = get_type_hints(kind), _is(dict, value)
        if unknown := given.keys() - fields.keys():
            raise TypeError(f"a {kind.__name__} has no {min(unknown)!r}")
        return kind(**{name: _read(fields[name], one) for name, one in given.items()})
    if get_origin(kind) is list:
        return [_read(get_args(kind)[0], one) for one in _is(list, value)]
    return float(value) if kind is float and type(value) is int else _is(kind, value)


def _is(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{str(value)[:40]!r} stands where a {kind.__name__} is expected")
    return value
