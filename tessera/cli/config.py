"""A run's config file: TOML with overrides from the command line, every value of which knows where it stands."""

from __future__ import annotations

import contextlib
import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tessera.errors import SettingError, SourceLine, TesseraError

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Config:
    """A config file, the values in it, and the overrides that are among them.

    Attributes:
        path: of the file.
        text: its content.
        values: what it says, overrides included.
        overrides: the keys that were set and what was written on the command line.
    """

    path: Path
    text: str
    values: dict[str, Any]
    overrides: tuple[tuple[Keys, str], ...] = ()

    @property
    def root(self) -> Entry:
        """The whole of it."""
        return Entry(self, (), self.values)


@dataclass(frozen=True)
class Entry:
    """One value, or one table of values, of a config.

    Attributes:
        keys: how to get there: ``("callbacks", 0, "path")``.
    """

    config: Config
    keys: Keys
    value: Any

    @property
    def name(self) -> str:
        """As it is written with ``--set``: ``"callbacks.0.path"``."""
        return ".".join(map(str, self.keys))

    @property
    def where(self) -> SourceLine | None:
        """Its line in the file, or on the command line."""
        for number, (keys, text) in reversed(list(enumerate(self.config.overrides, 1))):
            if self.keys[: len(keys)] == keys:
                return SourceLine("--set", number, text)
        lines = (line_of(self.config, self.keys[:length]) for length in range(len(self.keys), 0, -1))
        return next(filter(None, lines), None)  # a text that is short for a table has its keys on no line

    def __getitem__(self, key: str | int) -> Self:
        return type(self)(self.config, (*self.keys, key), self.value[key])

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def without(self, *keys: str) -> Self:
        """The same table without some of its keys."""
        return type(self)(self.config, self.keys, {key: one for key, one in self.value.items() if key not in keys})

    def items(self) -> Iterator[tuple[str | int, Self]]:
        """The entries of a table or an array, each with its key."""
        keys = self.value if isinstance(self.value, dict) else range(len(self.value))
        return ((key, self[key]) for key in keys)

    def error(self, received: str, expected: str, fix: str) -> SettingError:
        """An error about this entry, which names its line."""
        return SettingError(received, expected, fix, self.where)

    def check_keys(self, known: Iterable[str]) -> None:
        """Refuse keys that nobody reads.

        Raises:
            SettingError: there is one; the nearest known one is suggested.
        """
        names = sorted(known)
        for key, entry in self.items():
            if key not in names:
                table = f"[{self.name}] has" if self.keys else f"{self.config.path.name} has"
                raise entry.error(
                    f"{table} the key {key!r}.", f"The keys are {', '.join(names)}.", nearest(str(key), names)
                )

    def table(self, expected: str) -> Self:
        """Itself, where it is a table.

        Raises:
            SettingError: it is something else; ``expected`` is the sentence that says what it is.
        """
        if isinstance(self.value, dict):
            return self
        raise self.error(f"{self.name} = {self.value!r} is no table.", expected, f"Write it under [{self.name}].")

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Errors that say no line of their own name this entry's."""
        try:
            yield
        except TesseraError as error:
            error.where = error.where or self.where
            raise


def read_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file and set what ``overrides`` say, each ``KEY=VALUE`` with dots between keys and TOML values.

    Raises:
        SettingError: the file is not there or is no TOML, or an override cannot be set.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark in front
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise SettingError(
            f"{path} cannot be read as TOML: {error}.",
            "A config is TOML: strings stand in quotes, tables begin with [name].",
            "Repair the line.",
            SourceLine(str(path), int(found.group(1)), text.splitlines()[int(found.group(1)) - 1]) if found else None,
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"{path} cannot be read: {error}.", "A config is a text file.", "Check the path that was passed."
        ) from error
    taken = tuple((_set(values, override), override) for override in overrides)
    return Config(path, text, values, taken)


def nearest(name: str, names: Sequence[str]) -> str:
    """The sentence that says what to write in place of ``name``."""
    close = difflib.get_close_matches(name.lower(), [one.lower() for one in names], n=1)
    begun = [one.lower() for one in names if len(name) > 2 and one.lower().startswith(name.lower())]
    found = [one for one in names if one.lower() in (begun or close)[:1]]
    return f"Write {found[0]!r}." if found else "Write one of them, or leave it out."


def line_of(config: Config, keys: Keys) -> SourceLine | None:
    """Where the file says ``keys`` first: the shortest beginning of it that is TOML and has them ends there."""
    lines = config.text.splitlines() if keys else []
    whole = 0  # lines before the statement that is being read
    for number in range(1, len(lines) + 1):
        try:
            found = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value of several lines
        if _has(found, keys):
            return SourceLine(str(config.path), whole + 1, lines[whole].strip())
        whole = number
    return None


def _has(values: Any, keys: Keys) -> bool:
    for key in keys:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _set(values: dict[str, Any], override: str) -> Keys:
    """Set ``KEY=VALUE`` in ``values``; the keys it was set at."""
    key, equals, value = override.partition("=")
    path = _path(key)
    if not equals or not path:
        raise SettingError(
            f"--set {override} was passed.",
            "It is KEY=VALUE, with dots between the keys.",
            "Write for example --set fit.epochs=5.",
        )
    inside: Any = values
    keys: list[str | int] = []
    for name in path[:-1]:
        keys.append(_place(inside, name))
        if isinstance(inside, dict) and isinstance(inside.setdefault(name, {}), str):
            inside[name] = {"name": inside[name]}  # a string is short for such a table
        if not _has(inside, (keys[-1],)):
            raise _nowhere(override, keys)
        inside = inside[keys[-1]]
    keys.append(_place(inside, path[-1]))
    takes = isinstance(inside, dict) or (isinstance(inside, list) and _has(inside, (keys[-1],)))
    if not takes:
        raise _nowhere(override, keys)
    inside[keys[-1]] = _value(value, override)
    return tuple(keys)


def _place(inside: Any, name: str) -> str | int:
    return int(name) if isinstance(inside, list) and name.isdecimal() else name


def _nowhere(override: str, keys: Sequence[str | int]) -> SettingError:
    return SettingError(
        f"--set {override} was passed, and there is no {'.'.join(map(str, keys))}.",
        "Keys lead through tables, and numbers from 0 to what is there in an array.",
        "Write for example --set optimizer.lr=0.1, or --set optimizer.0.lr=0.1 for the first of several.",
    )


def _path(key: str) -> list[str]:
    try:
        inside: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return []
    path = []
    while isinstance(inside, dict) and len(inside) == 1:
        ((name, inside),) = inside.items()
        path.append(name)
    return path if inside == 0 else []


def _value(text: str, override: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        found = {}
    if list(found) == ["value"]:
        return found["value"]
    word = {"true": "true", "false": "false"}.get(text.lower())
    raise SettingError(
        f"--set {override} was passed, and {text} is no TOML value.",
        "A value is written as in the file: a number, true, false, a string in quotes, [1, 2] or {name = 1}.",
        f"Write --set {override.partition('=')[0]}={word}." if word else _quoted(override),
    )


def _quoted(override: str) -> str:
    key, _, value = override.partition("=")
    return f"""Write --set '{key}="{value}"' if it is a string; the outer quotes are for the shell."""
