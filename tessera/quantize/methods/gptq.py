"""GPTQ (Frantar et al., 2023): columns are rounded one after the other, the later ones make up for the earlier."""

from __future__ import annotations

import torch

from tessera.quantize.formats import NumberFormat
from tessera.quantize.quantized_tensor import Choose, Layout, QuantizedTensor, encode, scales

_DAMPING = 0.01  # of the mean curvature, as in the paper
_BLOCK = 128  # columns whose effect on the rest is applied at once


def gptq(
    weight: torch.Tensor,
    gram: torch.Tensor,
    form: NumberFormat,
    layout: Layout,
    *,
    symmetric: bool = True,
    choose: Choose | None = None,
) -> QuantizedTensor:
    """Quantize ``weight`` so that its product with the inputs changes little.

    Args:
        weight: ``[out, in]``, finite.
        gram: the inputs ``[rows, in]`` as ``rows.T @ rows``.
        form, layout, symmetric, choose: as in ``quantize_tensor``.
    """
    left = weight.detach().double().clone()
    columns = left.shape[1]
    factor = _inverse_factor(gram.double())
    grids: list[tuple[torch.Tensor, torch.Tensor | None]] = []
    codes = torch.empty_like(left)
    width = layout.group if layout.per == "group" else columns
    whole = left if layout.per == "tensor" else None
    for start in range(0, columns, width):
        end = min(start + width, columns)
        pieces = whole.reshape(1, 1, -1) if whole is not None else left[:, start:end].unsqueeze(1)
        scale, zero_point = scales(pieces, form, layout, symmetric=symmetric, choose=choose)
        grids.append((scale, zero_point))
        for first in range(start, end, _BLOCK):
            last = min(first + _BLOCK, end)
            errors = torch.zeros_like(left[:, first:last])
            for column in range(first, last):
                code = encode(left[:, column, None, None], scale, zero_point, form)
                codes[:, column] = code[:, 0, 0].double()
                shift = 0 if zero_point is None else zero_point[:, 0].double()
                value = (form.decode(code, torch.float64)[:, 0, 0] - shift) * scale[:, 0].double()
                errors[:, column - first] = error = (left[:, column] - value) / factor[column, column]
                left[:, column + 1 : last] -= torch.outer(error, factor[column, column + 1 : last])
            left[:, last:] -= errors @ factor[first:last, last:]
    zero_points = [found for _, found in grids if found is not None]
    return QuantizedTensor(
        layout.cut(codes).to(form.dtype),
        torch.cat([scale for scale, _ in grids], 1),
        torch.cat(zero_points, 1) if zero_points else None,
        form=form,
        layout=layout,
        shape=tuple(weight.shape),
        dtype=weight.dtype,
    )


def _inverse_factor(gram: torch.Tensor) -> torch.Tensor:
    """The upper Cholesky factor of the inverse of the damped curvature; a channel that never spoke gets the mean."""
    diagonal = gram.diagonal()
    mean = diagonal.mean() if (diagonal > 0).any() else diagonal.new_ones(())
    curvature = gram + torch.diag(torch.where(diagonal > 0, _DAMPING * mean, mean))
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(curvature)), upper=True)
