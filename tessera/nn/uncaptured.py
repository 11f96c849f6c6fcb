"""What Dynamo leaves to Python around the layers of a function; imported while it captures, for it loads Dynamo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera.nn import running


@torch.compiler.disable(reason="the first call of a tessera.function makes its layers")  # type: ignore[untyped-decorator]
def make(call: Callable[..., Any], *args: Any) -> Any:
    """``call(*args)``, which makes layers."""
    return call(*args)


@torch.compiler.disable(reason="the line that asks for a layer is not captured")  # type: ignore[untyped-decorator]
def written_at() -> str:
    """``running.written_at()`` where the capture began below that line."""
    return running.written_at()


@torch.compiler.disable(  # type: ignore[untyped-decorator]
    reason="no module is captured whose mode holds: write dropout(x, p, training)"
)
def training_mode() -> bool:
    """``running.training_mode()`` where the capture began below the module."""
    return running.training_mode()
