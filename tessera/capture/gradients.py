"""What becomes of gradients between the backward and the update, as pure functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def tangent(scale: torch.Tensor, accumulate: int, dtype: torch.dtype) -> torch.Tensor:
    """Where the backward of a scaled loss begins, 0-d: each of ``accumulate`` micro-batches has its share."""
    return (scale.double() / accumulate).to(dtype)  # a third in float32 would be too coarse for a loss in float64


def add(*flat: torch.Tensor) -> list[torch.Tensor]:
    """The first half, plus the second half, one by one."""
    half = len(flat) // 2
    return [total + gradient for total, gradient in zip(flat[:half], flat[half:], strict=True)]


def unscale(scale: torch.Tensor, *gradients: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of the loss from those of ``scale`` times the loss; float32 for float16, whose range is too small."""
    inverse = scale.double().reciprocal().to(scale.dtype)
    return [(g.float() if g.dtype == torch.float16 else g) * inverse for g in gradients]


def clip(limit: float, *gradients: torch.Tensor) -> list[torch.Tensor]:
    """The norm of all gradients as one vector, then the gradients scaled so that it is at most ``limit``."""
    # The formula of torch.nn.utils.clip_grad_norm_, 1e-6 included.
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    scale = torch.clamp(limit / (norm + 1e-6), max=1.0)
    return [norm, *(g * scale for g in gradients)]


def cast(dtypes: Sequence[torch.dtype], *gradients: torch.Tensor) -> list[torch.Tensor]:
    """Gradients in the dtypes of their parameters, after arithmetic in a wider one."""
    return [g.to(dtype) for g, dtype in zip(gradients, dtypes, strict=True)]


def all_finite(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Whether every element is finite, 0-d; also of sparse tensors."""
    dense = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    return torch.stack([torch.isfinite(t).all() for t in dense]).all() if dense else torch.tensor(True)


def tolerated(finite: torch.Tensor, scale: torch.Tensor) -> list[torch.Tensor]:
    """Whether a dynamic scale may still help: below 1 it is not the scale that makes gradients overflow."""
    return [finite | (scale >= 1)]


def choose(condition: torch.Tensor, *flat: torch.Tensor) -> list[torch.Tensor]:
    """The second half where ``condition`` (0-d) holds, else the first half."""
    half = len(flat) // 2
    return [torch.where(condition, new, old) for old, new in zip(flat[:half], flat[half:], strict=True)]
