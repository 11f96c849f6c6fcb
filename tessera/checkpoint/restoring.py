"""Puts a snapshot back into the objects that it was saved from, or into others that share names with them."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from tessera.checkpoint.finding import find
from tessera.checkpoint.loading import read_tensors
from tessera.checkpoint.manifest import Manifest, read_manifest
from tessera.checkpoint.matching import Match, check_whole, match, renamed
from tessera.checkpoint.pieces import dtype_named
from tessera.checkpoint.ranks import agree
from tessera.checkpoint.stateful import can_load, load_state, state_of
from tessera.checkpoint.values import Json, tensor_names, unflatten
from tessera.errors import CheckpointError, StateError


def restore(
    folder: str | os.PathLike[str],
    state: Mapping[str, Any],
    /,
    *,
    strict: bool = True,
    rename: Mapping[str, str] | None = None,
) -> Match:
    r"""Load a snapshot into objects, in place: all that fits, once everything has been read and checked.

    Modules are matched name by name, anything else (an optimizer, a loader, a generator) as a whole. Numbers are
    converted to the module's dtype, as ``load_state_dict`` does. A sharded module reads its own shards, whatever the
    number of ranks that saved; every rank calls it alike.

    Args:
        folder: a snapshot, or a folder of them: then the newest.
        state: objects by the names they were saved under; what else was saved is left alone.
        strict: whether both sides must have the same names and shapes; otherwise what fits is loaded.
        rename: pattern -> replacement for names in the snapshot, such as ``{r"^ema\.": "model."}``.

    Returns:
        What matched, what was missing, what was left over and what had another shape.

    Raises:
        CheckpointError: there is no good snapshot, or it does not fit; the objects are as they were.
        StateError: an object that state cannot be loaded into.
    """
    snapshot = find(Path(folder))
    return restore_snapshot(snapshot, read_manifest(snapshot), state, strict=strict, rename=rename)


def restore_snapshot(
    snapshot: Path,
    manifest: Manifest,
    state: Mapping[str, Any],
    *,
    strict: bool = True,
    rename: Mapping[str, str] | None = None,
    group: Any = None,
) -> Match:
    """`restore` for a snapshot whose manifest is read, on all ranks of ``group`` or on none."""
    _check(state)
    modules = {name: value for name, value in state.items() if isinstance(value, torch.nn.Module)}
    own = _own_entries(state, modules)
    saved = _saved_entries(manifest.values, state, modules, rename)
    found = match(saved, own, manifest)
    error, values = None, {}
    try:
        if strict:
            check_whole(found, snapshot)
        matched = {name: saved[name] for name in found.matched}
        tensors = _like(matched, own, manifest)
        read_tensors(snapshot, manifest, tensors)
        values = {name: unflatten(entry, tensors) for name, entry in matched.items()}
        _check_ties(values, own)
    except CheckpointError as failed:
        error = failed
    agree(error, group)
    _load(state, modules, values)
    return found


def _check(state: Mapping[str, Any]) -> None:
    for name, value in state.items():
        if not can_load(value) or "." in name:
            raise StateError(
                f"state[{name!r}] is a {type(value).__name__}{' whose name has a dot' if '.' in name else ''}.",
                "A snapshot is restored into objects with load_state_dict(), and random generators.",
                "Take plain values from tessera.checkpoint.load(folder).",
            )


def _own_entries(state: Mapping[str, Any], modules: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {name: value for name, value in state.items() if name not in modules}
    for name, module in modules.items():
        for inner, value in module.state_dict(keep_vars=True).items():
            if torch.nn.parameter.is_lazy(value) or getattr(value, "is_meta", False):
                raise CheckpointError(
                    f"{name}.{inner} has no memory yet.",
                    "A snapshot is restored into tensors that exist.",
                    'Call the model on a batch first, or model.to_empty(device="cpu") for one on the meta device.',
                )
            own[f"{name}.{inner}"] = value
    return own


def _saved_entries(
    values: Json, state: Mapping[str, Any], modules: Mapping[str, Any], rename: Mapping[str, str] | None
) -> dict[str, Json]:
    """What the snapshot has for the objects: of a module every entry, of another object the whole."""
    entries: dict[str, Json] = {}
    for name, value in values["dict"].items():
        inner = _entries_of(value)
        if name in state and name not in modules:
            entries[name] = value
        elif inner is not None:
            entries |= {f"{name}.{key}": entry for key, entry in inner.items()}
    wanted = tuple(f"{name}." for name in modules)
    found = renamed(entries, rename)
    return {name: entry for name, entry in found.items() if name in state or name.startswith(wanted)}


def _entries_of(value: Json) -> dict[str, Json] | None:
    if isinstance(value, Mapping) and "ordered_dict" in value:
        value = value["ordered_dict"]["items"]
    return value["dict"] if isinstance(value, Mapping) and "dict" in value else None


def _like(matched: Mapping[str, Json], own: Mapping[str, Any], manifest: Manifest) -> dict[str, Tensor]:
    """New tensors for what is to be read, in the snapshot's dtype, sharded as their place is."""
    tensors: dict[str, Tensor] = {}
    for name, entry in matched.items():
        value = own[name]
        if isinstance(value, torch.optim.Optimizer):
            layouts = _layouts(value, entry, manifest)
        else:
            layouts = dict.fromkeys(tensor_names(entry), value)
        for stored, layout in layouts.items():
            described = manifest.tensors[stored]
            tensors[stored] = _empty(described.shape, dtype_named(described.dtype), layout)
    return tensors


def _layouts(optimizer: torch.optim.Optimizer, entry: Json, manifest: Manifest) -> dict[str, Any]:
    """For each tensor of an optimizer's state the parameter it is sharded like: that of its position and shape."""
    layouts: dict[str, Any] = dict.fromkeys(tensor_names(entry))
    params = [param for group in optimizer.param_groups for param in group["params"]]
    states = (_entries_of(entry) or {}).get("state") or {}
    for position, of_param in states.get("pairs", ()):
        for stored in tensor_names(of_param):
            fits = position < len(params) and manifest.tensors[stored].shape == tuple(params[position].shape)
            layouts[stored] = params[position] if fits else None
    return layouts


def _empty(shape: tuple[int, ...], dtype: torch.dtype, layout: Any) -> Tensor:
    if isinstance(layout, DTensor) and tuple(layout.shape) == shape:
        local = torch.empty_like(layout.to_local(), dtype=dtype, requires_grad=False)
        return DTensor.from_local(
            local, layout.device_mesh, layout.placements, run_check=False, shape=layout.shape, stride=layout.stride()
        )
    return torch.empty(shape, dtype=dtype, device="cpu")


def _check_ties(values: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise where one tensor of a module would get two different values."""
    first: dict[int, str] = {}
    for name in values:
        if isinstance(own[name], Tensor):
            before = first.setdefault(id(own[name]), name)
            if values[before] is not values[name] and not torch.equal(values[before], values[name]):
                raise CheckpointError(
                    f"{name} and {before} are one tensor here, and two different ones in the snapshot.",
                    "Tied weights have one value.",
                    "Load it into a model that ties the weights it was saved with.",
                )


def _load(state: Mapping[str, Any], modules: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Hand the values over; what may refuse them comes first, and is put back if something after it does."""
    loaded: list[tuple[Any, Any]] = []
    try:
        for name, value in state.items():
            if name not in modules and name in values:
                before = copy.deepcopy(state_of(value))
                loaded.append((value, before))
                load_state(value, values[name])
        for name, module in modules.items():
            inner = {key.removeprefix(f"{name}."): value for key, value in values.items() if key.startswith(f"{name}.")}
            module.load_state_dict(inner, strict=False)
    except Exception:
        for value, before in reversed(loaded):
            load_state(value, before)
        raise
