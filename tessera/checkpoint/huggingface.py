"""Weights in Hugging Face's layout: ``model.safetensors``, or shards and ``model.safetensors.index.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from tessera.checkpoint.durable import make_folder, sync_folder, write_file
from tessera.checkpoint.ranks import rank_of
from tessera.errors import SettingError, WeightsError
from tessera.nn.weights_file import write_weights

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
_GB = 10**9


def save_weights(
    folder: str | os.PathLike[str], module: torch.nn.Module, *, max_shard_bytes: int = 5 * _GB
) -> list[Path]:
    """Save parameters and buffers as a folder that ``transformers``, ``load_weights`` and ``model.load`` read.

    Shards first, the index last: until that is there, nobody takes the folder for weights. A tensor with several
    names (tied weights) is saved once, under the first of them. Of a model sharded over ranks, every rank calls it,
    whole tensors are gathered one at a time, and rank 0 writes.

    Args:
        folder: without weights so far; made if it is not there. Other files in it (a configuration) stay.
        max_shard_bytes: a file holds no more than this, unless one tensor alone does.

    Returns:
        The files with tensors, in order.

    Raises:
        WeightsError: there are weights in the folder already, some state is not a tensor, or it cannot be written.
        SettingError: ``max_shard_bytes`` is below one.
    """
    folder = Path(folder)
    if max_shard_bytes < 1:
        raise SettingError(
            f"max_shard_bytes={max_shard_bytes} was passed.",
            "It is how many bytes a file of weights holds at most.",
            "Write for example max_shard_bytes=5 * 10**9.",
        )
    weights = _weights(module)
    present = [name for name in (INDEX, WHOLE) if (folder / name).exists()]
    if present and rank_of() == 0:
        raise WeightsError(
            f"{str(folder)!r} has {present[0]} already.",
            "Weights are saved where there are none, so that a crash never mixes old and new ones.",
            "Write another folder, or remove the old weights first.",
        )
    shards = _shards(weights, max_shard_bytes)
    names = (
        [WHOLE]
        if len(shards) == 1
        else [f"model-{n + 1:05d}-of-{len(shards):05d}.safetensors" for n in range(len(shards))]
    )
    for name, shard in zip(names, shards, strict=True):
        _write(folder / name, {key: weights[key] for key in shard})
    if len(shards) > 1 and rank_of() == 0:
        places = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        _write_index(folder, places, sum(weight.nbytes for weight in weights.values()))
    return [folder / name for name in names]


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        is_tensor = isinstance(value, Tensor)
        if not is_tensor or value.is_meta or torch.nn.parameter.is_lazy(value):
            what = "a tensor without memory" if is_tensor else f"a {type(value).__name__}"
            raise WeightsError(
                f"{name} of {type(module).__name__} is {what}.",
                "A file of weights holds tensors and nothing else.",
                "Call the model on a batch first, and leave out what is no tensor.",
            )
        found.setdefault(id(value), (name, value))
    return dict(found.values())


def _shards(weights: Mapping[str, Tensor], max_bytes: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    room = max_bytes
    for name, weight in weights.items():
        if shards[-1] and weight.nbytes > room:
            shards.append([])
            room = max_bytes
        shards[-1].append(name)
        room -= weight.nbytes
    return shards


def _write(path: Path, weights: Mapping[str, Tensor]) -> None:
    whole = {}
    for name, weight in weights.items():
        gathered = weight.full_tensor() if isinstance(weight, DTensor) else weight
        if rank_of() == 0:
            whole[name] = gathered.detach().to("cpu", copy=True).contiguous()
    if rank_of() == 0:
        try:
            make_folder(path.parent)
            write_weights(path, whole)
            _sync(path)
        except OSError as error:
            raise _unwritten(path, error) from error


def _write_index(folder: Path, places: Mapping[str, str], nbytes: int) -> None:
    text = json.dumps({"metadata": {"total_size": nbytes}, "weight_map": dict(places)}, indent=2)
    unfinished = folder / f".{INDEX}.{os.getpid()}"
    try:
        write_file(unfinished, [text.encode("utf-8")])
        unfinished.replace(folder / INDEX)
        sync_folder(folder)
    except OSError as error:
        raise _unwritten(folder / INDEX, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file that was written and closed, and its name, are on the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    sync_folder(path.parent)


def _unwritten(path: Path, error: OSError) -> WeightsError:
    return WeightsError(
        f"{str(path)!r} could not be written: {error}.",
        "Saving weights needs a folder that can be written to, and room in it.",
        "Make room, or write another folder.",
    )
