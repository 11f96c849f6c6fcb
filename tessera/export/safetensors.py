"""Safetensors: the weights, read back and compared bit by bit."""

from __future__ import annotations

from pathlib import Path

import torch

from tessera.errors import ExportError
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.format import Format, Options, Written
from tessera.export.rebuilding import write_config
from tessera.nn.weights import save_weights
from tessera.nn.weights_file import read_weights


def write_safetensors(flat: FlatCall, _example: Example, path: Path, options: Options) -> Written:
    """Parameters and buffers under the names of ``state_dict()``, a tied one once.

    Raises:
        WeightsError: the model has state that is no tensor, or the file cannot be written.
        ExportError: what was read back differs.
    """
    module = flat.module
    save_weights(module, path)
    state, written = module.state_dict(), read_weights(path)
    different = [name for name, tensor in written.items() if not _same(tensor, state[name])]
    if different:
        raise ExportError(
            f"{path.name} was written and read back, and {different[0]} is not what it is in {type(module).__name__}.",
            "A weights file holds the model's own bits.",
            "Check the disk and write the file again.",
        )
    size = sum(tensor.numel() for tensor in written.values())
    notes = [f"All {len(written)} tensors ({size:,} numbers) were read back."]
    if write_config(module, options.config, path):
        notes.append(
            f"{path.with_suffix('.json').name} beside it rebuilds the model: from tessera.export import rebuild."
        )
    return Written(notes=notes)


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    b = b.detach().cpu()
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bits(a), _bits(b))


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)  # NaN is equal to itself here


FORMAT = Format(
    name="safetensors",
    endings=(".safetensors",),
    packages=("safetensors",),
    install="pip install safetensors",
    write=write_safetensors,
    load=None,
    options=frozenset({"config"}),
)
