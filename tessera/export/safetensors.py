"""Safetensors: the weights, read back and compared bit by bit."""

from __future__ import annotations

from pathlib import Path

import torch

from tessera.errors import ExportError
from tessera.export.exported import Exported
from tessera.nn.weights import save_weights
from tessera.nn.weights_file import read_weights


def export_safetensors(module: torch.nn.Module, path: Path) -> Exported:
    """Write parameters and buffers of ``module`` to ``path`` under the names of ``state_dict()``.

    Raises:
        WeightsError: the model has state that is no tensor, or the file cannot be written.
        ExportError: what was read back differs; the file is kept as ``<name>.safetensors.rejected``.
    """
    save_weights(module, path)
    state, written = module.state_dict(), read_weights(path)
    different = [name for name, tensor in written.items() if not _same(tensor, state[name])]
    if different:
        rejected = path.replace(path.with_name(path.name + ".rejected"))
        raise ExportError(
            f"{rejected} was written and read back, and {different[0]} is not what it is in {type(module).__name__}.",
            "A weights file holds the model's own bits.",
            "Check the disk and write the file again.",
        )
    size = sum(tensor.numel() for tensor in written.values())
    return Exported(path, "safetensors", 0.0, True, f"All {len(written)} tensors ({size:,} numbers) were read back.")


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    b = b.detach().cpu()
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bits(a), _bits(b))


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)  # NaN is equal to itself here
