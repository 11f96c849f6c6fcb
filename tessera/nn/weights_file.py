"""Files of named tensors: safetensors, PyTorch's own as far as they hold nothing but tensors, folders of shards."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tessera.errors import WeightsError
from tessera.nn.torch_file import check_torch_file

# What a folder of Hugging Face's is read from, the first that is there.
_MAIN_FILES = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin")
_LONGEST_NAME = 255  # of a file, in bytes
# Under which a training script's checkpoint keeps the weights, beside the epoch and the optimizer.
_CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")


def read_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tensors in a file, by name, on the CPU.

    Args:
        path: a ``.safetensors`` file; a ``.pt``, ``.pth`` or ``.bin`` file of a state_dict or of a checkpoint with one,
            read with ``weights_only=True``, so that no code in it can run; or a Hugging Face folder, shards included.

    Raises:
        WeightsError: there is no such file, it is truncated or unreadable, or it holds more than tensors.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in _MAIN_FILES if (path / name).is_file()), path / _MAIN_FILES[1])
    if not path.is_file():
        raise WeightsError(
            f"There is no file {str(path)!r}.",
            f"Weights are in a file, or in a folder with one of {', '.join(_MAIN_FILES)}.",
            "Write the path that the weights were saved to.",
        )
    if path.name.endswith(".index.json"):
        return _read_shards(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in {".pt", ".pth", ".bin"}:
        return _read_torch(path)
    raise WeightsError(
        f"{path.name} has the ending {path.suffix!r}.",
        "The ending tells the format: .safetensors, .pt, .pth, .bin, or a folder of them.",
        "Rename the file to what it is.",
    )


def write_weights(path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors to a ``.safetensors`` file, whole or not at all: a crash leaves the file that was there before.

    Raises:
        WeightsError: another ending, a folder that is not there, or a tensor that the format has no place for.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"The file to save weights to is {path.name!r}.",
            "Weights are saved as safetensors, which every framework reads and no code can hide in.",
            f"Write {path.stem + '.safetensors'!r}.",
        )
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(dict(tensors), unfinished, metadata={"format": "pt"})
        unfinished.replace(path)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise WeightsError(
            f"{str(path)!r} could not be written: {error}.",
            "Saving needs a folder that exists, room in it, and dense tensors.",
            "Write a path in a folder that exists.",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return load_file(path)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        repair = "It is truncated or no safetensors file: copy it again from where it was saved."
        raise _unreadable(path, error, repair) from error


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        check_torch_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        repair = "It is truncated, or holds Python objects: save tensors with torch.save(model.state_dict(), path)."
        raise _unreadable(path, error, repair) from error
    for key in _CHECKPOINT_KEYS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(name, str) for name in loaded):
        raise WeightsError(
            f"{path.name} holds a {type(loaded).__name__}.",
            f"It should hold tensors by name, at the top or under {' or '.join(_CHECKPOINT_KEYS)}.",
            "Save it with torch.save(model.state_dict(), path).",
        )
    return dict(loaded)


def _read_shards(index: Path) -> dict[str, Any]:
    try:
        shard_of = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable(index, error, "It should be JSON with a weight_map: copy the whole folder again.") from error
    shards: dict[str, dict[str, Any]] = {}
    for name in sorted({str(name) for name in shard_of.values()}):
        shards[name] = read_weights(_shard(index, name))
    absent = [key for key, name in shard_of.items() if key not in shards[str(name)]]
    if absent:
        raise _unreadable(index, KeyError(absent[0]), f"{len(absent)} tensors are not in their shards: copy it again.")
    return {key: shards[str(name)][key] for key, name in shard_of.items()}


def _shard(index: Path, name: str) -> Path:
    """The file that an index names: it may be from elsewhere, and decides on files of its own folder only."""
    possible = name and Path(name).name == name and len(name.encode("utf-8", "replace")) <= _LONGEST_NAME
    if not possible or name.endswith(".index.json") or index.with_name(name).is_dir():
        raise _unreadable(index, ValueError(f"it names {name[:80]!r}"), "A shard is a file that lies beside its index.")
    return index.with_name(name)


def _unreadable(path: Path, error: Exception, repair: str) -> WeightsError:
    reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    return WeightsError(
        f"{path.name} cannot be read ({type(error).__name__}: {reason}).", "Nothing was loaded.", repair
    )
