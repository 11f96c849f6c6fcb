"""A table of a config as the keyword arguments of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tessera.cli.config import Entry, nearest

_PATH = (str,), "a path, as a text", '"runs/a"'
# What a TOML value is for a parameter annotated so: its types, in words, and an example.
_KINDS: dict[str, tuple[tuple[type, ...], str, str]] = {
    "bool": ((bool,), "true or false", "true"),
    "int": ((int,), "a whole number", "10"),
    "float": ((int, float), "a number", "0.5"),
    "str": ((str,), "a text", '"a"'),
    "os.PathLike[str]": _PATH,
    "Path": _PATH,
}


def call(function: Callable[..., Any], entry: Entry, *given: Any, values: Mapping[str, Any] | None = None) -> Any:
    """Call ``function`` with ``given``, then the table's entries; errors name the line of the config.

    A text that goes to a parameter annotated as a path is relative to the config.

    Args:
        values: what the table's entries have become, where that is not what they are.

    Raises:
        SettingError: an argument is unknown or missing, or of another type than its parameter is annotated with.
    """
    named = arguments(function, entry) | dict(values or {})
    parameters = _parameters(function)
    if parameters is not None:
        check_names(function, entry)
        check_kinds(function, entry.without(*(values or ())))
        try:
            inspect.Signature(list(parameters.values())).bind(*given, **named)
        except TypeError as error:
            raise entry.error(
                f"[{entry.name}] cannot be passed to {_name(function)}: {error}.",
                f"Its arguments are {', '.join(parameters)}.",
                "Write what is missing, and leave out what it does not take.",
            ) from error
    with entry.blamed():
        return function(*given, **named)


def check_names(function: Callable[..., Any], entry: Entry) -> None:
    """Refuse entries that ``function`` has no parameter for.

    Raises:
        SettingError: there is one; the nearest name is suggested.
    """
    parameters = _parameters(function) or {}
    if not parameters or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    for key, one in entry.items():
        if key not in parameters:
            raise one.error(
                f"{_name(function)} has no argument {key!r}.",
                f"Its arguments are {', '.join(parameters)}.",
                nearest(str(key), list(parameters)),
            )


def check_kinds(function: Callable[..., Any], entry: Entry) -> None:
    """Refuse values of another type than the parameter says, where it says a plain one: bool, int, float, str, a path.

    Raises:
        SettingError: there is one.
    """
    parameters = _parameters(function) or {}
    for key, one in entry.items():
        found = parameters[str(key)].annotation if key in parameters else None
        words = found.__name__ if isinstance(found, type) else str(found)
        names = [name for name in (part.strip() for part in words.split("|")) if name != "None"]
        if not names or not all(name in _KINDS for name in names):
            continue
        kinds = [_KINDS[name] for name in names]
        if not any(type(one.value) in types for types, _, _ in kinds):
            raise one.error(
                f"{one.name} = {one.value!r} was written.",
                f"{key} of {_name(function)} is {' or '.join(dict.fromkeys(said for _, said, _ in kinds))}.",
                f"Write for example {key} = {kinds[0][2]}.",
            )


def arguments(function: Callable[..., Any], entry: Entry) -> dict[str, Any]:
    """The table's entries by name, texts that are paths made absolute."""
    parameters = _parameters(function) or {}
    return {
        str(key): in_folder(one) if key in parameters and "Path" in str(parameters[str(key)].annotation) else one.value
        for key, one in entry.items()
    }


def in_folder(entry: Entry) -> Any:
    """A path of the config, or an array of them, from the config's own folder; anything else is left as it is."""
    if isinstance(entry.value, list):
        return [in_folder(one) for _, one in entry.items()]
    return str(entry.config.path.parent / entry.value) if isinstance(entry.value, str) else entry.value


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """The parameters of a call, without ``self``; None where Python does not know them."""
    try:
        own = getattr(function, "__init__", None) if isinstance(function, type) else None
        if own is not None and own is not object.__init__:  # `__new__` may take anything
            return dict(list(inspect.signature(own).parameters.items())[1:])
        return dict(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        return None
