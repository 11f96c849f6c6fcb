"""Equal values of which it matters whether they are one object; Dynamo guards only what they equal.

f(x, a, a)    f(x, a, copy_of_a)    with    x * 2 if a is b else x * 3    inside: both calls pass the same guards;
so they do with                     a.append(1); return x * len(b)
"""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.capture.assumptions import CannotFollow, Globals, parsed
from tessera.capture.float_watch import FloatWatch, Getter, getter

OTHER_OBJECTS = "equal values may be one object or several, and the function asks with `is`"
CHANGED_TOO = "what the function changes may be another object that it reads, or was one"


class IdentityWatch(FloatWatch):
    """The values that a capture may have compared with ``is``, those that it changes, and the floats that it read.

    Args:
        guards: of the capture.
        names: the globals of the captured function.
        largest: the largest float that a tensor can be computed with.
        named: the variables, attributes and keys where the function asks.
        changed: the ids of the objects that it changes.
    """

    def __init__(
        self,
        guards: Sequence[torch_internals.Guard],
        names: Mapping[str, Any],
        largest: float,
        named: frozenset[str],
        changed: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(guards, names, largest)
        layers = [g.name for g in guards if isinstance(g.value, torch.nn.Module) and _is_torchs(type(g.value))]
        of_layers = re.compile("|".join(rf"{re.escape(name)}[.\[]" for name in layers) or "(?!)")
        groups: dict[tuple[type, Hashable], dict[str, tuple[Getter, Any]]] = {}
        for guard in guards:
            own = isinstance(guard.value, torch.nn.Parameter) or not of_layers.match(guard.name)
            if own and guard.has_value and (key := _key(guard.value)) is not None:
                with contextlib.suppress(CannotFollow):
                    get = getter(parsed(guard.name), Globals(names, {}))
                    groups.setdefault(key, {})[guard.name] = get, guard.value
        self._groups: list[_Group] = []
        for (kind, _), group in groups.items():
            if (
                len(group) > 1
                and not issubclass(kind, torch.nn.Module)
                and any(id(value) in changed for _, value in group.values())
            ):
                self._groups.append(_Group(CHANGED_TOO, kind, group))
            for name in list(group) if len(group) > _MANY else ():
                if not named.intersection(re.findall(r"\w+", name)[-1:]):
                    del group[name]
            if named and len(group) > 1:
                self._groups.append(_Group(OTHER_OBJECTS, kind, group))

    def cannot_hold(self, *, whole: bool) -> str:
        """Why the capture is wrong already, or nobody would look: nothing of ours is asked before a piece runs.

        Of two tuples Dynamo says that they are two, also where they are one.
        """
        wrong = (g for g in self._groups if not whole or (g.kind is tuple and len(set(g.pattern)) < len(g.pattern)))
        return next((group.reason for group in wrong), "")

    def refuses(self, values: Mapping[str, Any]) -> str:
        """Why the capture would answer otherwise than Python for what is behind ``values``."""
        for group in self._groups:
            if _pattern([get(values) for get in group.getters]) != group.pattern:
                return group.reason
        return super().refuses(values)


class _Group:
    """Values that may be one object, and which of them are."""

    def __init__(self, reason: str, kind: type, group: Mapping[str, tuple[Getter, Any]]) -> None:
        self.reason, self.kind = reason, kind
        self.getters = [get for get, _ in group.values()]
        self.pattern = _pattern([value for _, value in group.values()])


def may_be_one(values: Sequence[object]) -> bool:
    """Whether some of ``values``, nested, are equal and of a kind that another call may give as one object, or two."""
    keys = [key for value in torch_internals.flattened(values)[0] if (key := _key(value)) is not None]
    keys += [key for value in values if isinstance(value, tuple | list | dict) and (key := _key(value)) is not None]
    return len(set(keys)) < len(keys)


def _key(value: object) -> tuple[type, Hashable] | None:
    """What values have in common that may be one object in one call and several in the next."""
    kind = type(value)
    match value:
        case str() | bytes() if kind in (str, bytes) and len(value) > 1:
            return kind, value
        case int() | float() | complex() if kind in (int, float, complex) and value not in _SMALL:
            return kind, value
        case tuple() | list() | dict() | set() if kind in (tuple, list, dict, set) and value != ():
            return kind, len(value)
        case type() | enum.Enum():
            return None  # there is one of each
        case _ if _is_followed(value):
            return kind, None
    return None


_MANY = 16  # layers of a kind; of more only those that are named where the function asks
_SMALL = range(-5, 257)  # Python has one object for each of these


def _pattern(values: Sequence[object]) -> list[int]:
    """For each value, the place of the first that is the same object."""
    first: dict[int, int] = {}
    return [first.setdefault(id(value), place) for place, value in enumerate(values)]


def _is_followed(value: object) -> bool:
    """Whether it is a layer, a weight, or of a class of the user's; other tensors are guarded."""
    if isinstance(value, torch.nn.Module | torch.nn.Parameter):
        return True
    return not (isinstance(value, torch.Tensor) or _is_torchs(type(value)) or type(value).__module__ == "builtins")


def _is_torchs(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "torch"
