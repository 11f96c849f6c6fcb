"""Which range of values a format is stretched over, found from the values themselves.

All of them take pieces ``[a, b, size]`` and give the smallest and largest value ``[a, b]`` that keeps its place; what
lies outside is cut off. Min-max cuts off nothing; the others trade a few large errors for a finer grid.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from tessera.quantize.formats import NumberFormat

Range = Callable[[torch.Tensor, NumberFormat, bool], tuple[torch.Tensor, torch.Tensor]]

_SHARE = 0.999  # of the values that a percentile keeps
_SHARES = (
    *(1 - step / 100 for step in range(0, 70, 2)),
    *(0.3 * 0.8**step for step in range(1, 20)),
)  # of the full range that the searches try
_BINS = 1024


def min_max(pieces: torch.Tensor, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Everything."""
    return pieces.amin(-1), pieces.amax(-1)


def percentile(pieces: torch.Tensor, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
    """All but one value in two thousand on each side (McKinstry et al., 2018)."""
    ordered = pieces.sort(-1).values
    last = ordered.shape[-1] - 1
    cut = round(last * (1 - _SHARE) / 2)
    return ordered[..., cut], ordered[..., last - cut]


def mse(pieces: torch.Tensor, form: NumberFormat, symmetric: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The share of the full range with the least mean squared error (Banner et al., 2019, by search)."""
    return _search(pieces, form, symmetric, lambda values, rounded: (values - rounded).square().mean(-1))


def entropy(pieces: torch.Tensor, form: NumberFormat, symmetric: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The share whose histogram, after rounding, diverges least from the one before (Migacz, TensorRT, 2017)."""
    return _search(pieces, form, symmetric, _divergence)


def rms(pieces: torch.Tensor, form: NumberFormat, _: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """As many standard deviations as minimise a normal distribution's error in so many bits (after Qwix, 2025)."""
    deviations = {4: 2.6, 8: 4.0}[form.bits] if form.integer else 1e9
    spread = pieces.square().mean(-1).sqrt() * deviations
    return torch.maximum(pieces.amin(-1), -spread), torch.minimum(pieces.amax(-1), spread)


RANGES: dict[str, Range] = {
    "min-max": min_max,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
    "rms": rms,
}


def _search(
    pieces: torch.Tensor,
    form: NumberFormat,
    symmetric: bool,
    error: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    least, largest = pieces.amin(-1), pieces.amax(-1)
    best_error = torch.full_like(least, float("inf"))
    best = torch.ones_like(least)
    for share in _SHARES:
        found = error(pieces, _rounded(pieces, least * share, largest * share, form, symmetric))
        better = found < best_error
        best, best_error = torch.where(better, share, best), torch.where(better, found, best_error)
    return least * best, largest * best


def _rounded(
    pieces: torch.Tensor, least: torch.Tensor, largest: torch.Tensor, form: NumberFormat, symmetric: bool
) -> torch.Tensor:
    tiny = torch.finfo(torch.float32).tiny
    if symmetric:
        scale = (torch.maximum(largest.abs(), least.abs()) / form.largest).clamp(min=tiny).unsqueeze(-1)
        codes = form.encode(pieces / scale, least=-form.largest)
        return form.decode(codes, pieces.dtype) * scale
    low = least.clamp(max=0).unsqueeze(-1)
    scale = ((largest.clamp(min=0).unsqueeze(-1) - low) / (form.largest - form.least)).clamp(min=tiny)
    zero_point = (form.least - low / scale).round()
    return (form.encode((pieces / scale).round() + zero_point).to(pieces.dtype) - zero_point) * scale


def _divergence(values: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """KL divergence between the histograms of both, each smoothed by one count in all bins together, per piece."""
    flat, other = values.flatten(0, -2), rounded.flatten(0, -2)
    result = []
    for before, after in zip(flat, other, strict=True):
        low, high = before.min().item(), before.max().item()
        if not low < high:
            result.append(before.new_zeros(()))
            continue
        p = torch.histc(before, _BINS, low, high) + 1 / _BINS
        # A code stands for all values that became it: its count is spread over the bins that they came from.
        bins = ((before - low) / (high - low) * (_BINS - 1)).long()
        _, code = after.unique(return_inverse=True)
        occupied = torch.stack((code, bins), 1).unique(dim=0)
        counts = torch.bincount(code).to(before.dtype) / torch.bincount(occupied[:, 0]).clamp(min=1)
        q = torch.zeros_like(p).index_add_(0, occupied[:, 1], counts[occupied[:, 0]]) + 1 / _BINS
        p, q = p / p.sum(), q / q.sum()
        result.append((p * (p / q).log()).sum())
    return torch.stack(result).reshape(values.shape[:-1])
