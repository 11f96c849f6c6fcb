"""How values look in an error: ``x: Tensor[8, 128] float32``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tessera.explain.declared import size_text
from tessera.explain.reading import UNKNOWN

_LONGEST = 60


def shape(sizes: Sequence[Any]) -> str:
    """``Tensor[B=8, "S", ...]``: sizes as ``declared`` has them, names of dims in quotes, ``...`` for any of them."""
    return f"Tensor[{', '.join(_size(size) for size in sizes)}]"


def _size(size: Any) -> str:
    if size is ...:
        return "..."
    return f'"{size}"' if isinstance(size, str) else size_text(int(size))


def described(value: Any) -> str:
    """A value as its type and what matters of it; no tensor's numbers."""
    if isinstance(value, torch.Tensor):
        place = "" if value.device.type in ("cpu", "meta") else f" on {value.device}"
        return f"{shape(value.shape)} {dtype(value.dtype)}{place}"
    if isinstance(value, torch.nn.Module):
        return layer(value)
    if isinstance(value, tuple | list) and any(isinstance(each, torch.Tensor) for each in value):
        inside = ", ".join(described(each) for each in value[:4]) + (", ..." if len(value) > 4 else "")
        return f"a {type(value).__name__} of {len(value)}: {inside}"
    if type(value).__module__ == "numpy" and hasattr(value, "shape"):
        return f"numpy {type(value).__name__}{list(value.shape)} {value.dtype}"
    if value is UNKNOWN:
        return "a value that was computed on the way"
    if isinstance(value, str | int | float | bool | tuple | list | dict | type(None) | torch.dtype | torch.device):
        text = repr(value)
        return text if len(text) <= _LONGEST else f"a {type(value).__name__} of {len(str(value))} letters"
    return f"a {type(value).__name__}"


def dtype(kind: torch.dtype) -> str:
    """``float32``."""
    return str(kind).removeprefix("torch.")


def layer(module: torch.nn.Module) -> str:
    """A layer as it was made: ``Linear(in_features=4, out_features=8, bias=True)``."""
    inside = module.extra_repr()
    own = type(module).__module__.startswith("torch.nn") and "\n" not in inside and len(inside) < 2 * _LONGEST
    return f"{type(module).__name__}({inside})" if own else type(module).__name__
