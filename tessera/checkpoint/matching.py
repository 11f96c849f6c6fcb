"""What of a snapshot fits what it is loaded into: matched, missing, left over, of another shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from tessera.checkpoint.manifest import Manifest
from tessera.checkpoint.pieces import dtype_named
from tessera.checkpoint.values import Json
from tessera.errors import CheckpointError

_SHOWN = 10


@dataclass(frozen=True)
class Match:
    """Names such as ``model.layers.0.weight``, after renaming; ``print`` it.

    Attributes:
        matched: were loaded, in the order of the snapshot.
        missing: are in the objects and not in the snapshot; they keep their values.
        left_over: are in the snapshot and not in the objects.
        misfits: are in both and cannot be loaded, with the reason: another shape, or integers for floats.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    misfits: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing was missing, left over or of another shape."""
        return not (self.missing or self.left_over or self.misfits)

    def __str__(self) -> str:
        return "\n".join([f"matched {len(self.matched)}", *self.problems(_SHOWN)])

    def problems(self, shown: int) -> list[str]:
        """A line for each kind of problem that there is, with the first names of each."""
        misfits = [f"{name} ({reason})" for name, reason in self.misfits.items()]
        kinds = (("missing", self.missing), ("left over", self.left_over), ("does not fit", misfits))
        return [f"{kind} {len(names)}: {_listed(names, shown)}" for kind, names in kinds if names]


def renamed(saved: Mapping[str, Json], rename: Mapping[str, str] | None) -> dict[str, Json]:
    """The entries of a snapshot under the names that they are loaded by.

    Args:
        rename: pattern -> replacement, as `re.sub` takes them, in order; each is tried on every name.

    Raises:
        CheckpointError: two entries get the same name, or a pattern is none.
    """
    entries: dict[str, Json] = {}
    for name, entry in saved.items():
        new = name
        for pattern, replacement in (rename or {}).items():
            try:
                new = re.sub(pattern, replacement, new)
            except (re.error, IndexError) as error:
                raise CheckpointError(
                    f"rename has the pattern {pattern!r} with the replacement {replacement!r} ({error}).",
                    "Both are as re.sub takes them.",
                    r"Write for example rename={r'^model\.encoder\.': 'model.backbone.'}.",
                ) from error
        if new in entries:
            raise CheckpointError(
                f"{name} is renamed to {new}, which another entry of the snapshot is called.",
                "Every entry has a name of its own.",
                "Write a pattern that tells them apart.",
            )
        entries[new] = entry
    return entries


def match(saved: Mapping[str, Json], own: Mapping[str, Any], manifest: Manifest) -> Match:
    """Compare entries of a snapshot with the entries of the objects that they are for.

    Args:
        saved: by name, as JSON.
        own: by name: a tensor, or anything else where any entry fits.
    """
    misfits = {name: reason for name in saved if name in own and (reason := _misfit(saved[name], own[name], manifest))}
    matched = tuple(name for name in saved if name in own and name not in misfits)
    tied = {id(own[name]) for name in (*matched, *misfits)}
    missing = tuple(name for name, value in own.items() if name not in saved and id(value) not in tied)
    return Match(matched, missing, tuple(name for name in saved if name not in own), misfits)


def check_whole(found: Match, snapshot: object) -> None:
    """Go on if everything matched.

    Raises:
        CheckpointError: the message lists what did not.
    """
    if not found.whole:
        raise CheckpointError(
            f"{str(snapshot)!r} does not fit: {'; '.join(found.problems(_SHOWN))}.",
            "Every entry has one of its name and shape on the other side; nothing has been loaded.",
            "Load it into the objects it was saved from, or write strict=False to take what fits.",
        )


def _misfit(saved: Json, own: Any, manifest: Manifest) -> str:
    if not isinstance(own, Tensor):
        return ""
    if not (isinstance(saved, Mapping) and "tensor" in saved):
        return "not a tensor in the snapshot"
    tensor = manifest.tensors[saved["tensor"]]
    if tensor.shape != tuple(own.shape):
        return f"{list(tensor.shape)} in the snapshot, {list(own.shape)} here"
    dtype = dtype_named(tensor.dtype)
    if (dtype.is_floating_point, dtype.is_complex) != (own.is_floating_point(), own.is_complex()):
        return f"{tensor.dtype} in the snapshot, {str(own.dtype).removeprefix('torch.')} here"
    return ""


def _listed(names: Iterable[str], shown: int) -> str:
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
