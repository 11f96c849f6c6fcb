"""``tessera.tensor``: data becomes a tensor on the device that there is."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
import torch

from tessera.errors import SettingError

_log = logging.getLogger("tessera")


def tensor(data: Any, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> torch.Tensor:
    """A tensor of ``data``, on the accelerator if there is one, else on the CPU.

    What is chosen is said once, by the logger ``tessera`` at INFO. Data is copied, so that neither changes the other.

    Args:
        data: a number, nested lists, an array or a tensor. Whole numbers and truth values keep their dtype; floats of
            Python and 64-bit floats of NumPy become torch's default dtype, since NumPy makes them of everything. A
            tensor keeps its dtype.
        dtype: what to convert to instead.
        device: where to put it instead.

    Returns:
        A tensor of the shape of ``data``, without gradient history.

    Raises:
        SettingError: the data is ragged or holds no numbers, or there is no such device.

    Example:
        >>> import numpy as np
        >>> tensor(np.zeros((2, 3)), device="cpu").dtype
        torch.float32
    """
    place = _default_device() if device is None else _device(device)
    if isinstance(data, torch.Tensor):
        return data.detach().to(place, data.dtype if dtype is None else dtype, copy=True)
    if isinstance(data, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in data):
        data = [part.detach().cpu() if isinstance(part, torch.Tensor) else part for part in data]
    try:
        array = np.array(data, order="C")  # copied, and every stride positive
        found = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise SettingError(
            f"tessera.tensor was given a {type(data).__name__} that makes no tensor ({_first_line(error)}).",
            "Data is numbers: one, lists of lists of equal lengths, an array or a tensor.",
            "Pad rows of different lengths, and number what is text.",
        ) from error
    return found.to(place, _DEFAULTS.get(found.dtype, lambda: found.dtype)() if dtype is None else dtype)


# What NumPy makes of Python's numbers without being asked.
_DEFAULTS = {
    torch.float64: torch.get_default_dtype,
    torch.complex128: lambda: torch.complex128 if torch.get_default_dtype() == torch.float64 else torch.complex64,
}


@functools.cache
def _default_device() -> torch.device:
    """The accelerator, or the CPU where there is none; says so the first time."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is None:
        _log.info("Tensors are placed on the CPU: torch finds no accelerator.")
        return torch.device("cpu")
    _log.info("Tensors are placed on %s: it is the accelerator that torch finds.", device)
    return device


def _device(given: torch.device | str) -> torch.device:
    try:
        device = torch.device(given)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise SettingError(
            f"tessera.tensor was given device={given!r} ({_first_line(error)}).",
            "It is a device that this torch and this machine have.",
            "Leave it away for the one that there is, or write device='cpu'.",
        ) from error
    return device


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
