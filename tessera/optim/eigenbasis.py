"""Eigenbases of running matrices, refreshed now and then; one operator, so that a compiled step need not branch.

A QR decomposition costs more than the rest of a step. Whether it is due depends on a count in the state, and a graph
without branches would have to compute it always. The operator ``tessera::refresh_bases`` looks at the count's value
when it runs and computes only what is due.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_library = torch.library.Library("tessera", "FRAGMENT")
_library.define(
    "refresh_bases(Tensor mean, Tensor moment, int[] dims, Tensor[] grams, Tensor[] bases, Tensor due, Tensor begun)"
    " -> Tensor[]"
)


def refreshed(
    mean: Tensor,
    moment: Tensor,
    dims: Sequence[int],
    grams: Sequence[Tensor],
    bases: Sequence[Tensor],
    due: Tensor,
    begun: Tensor,
) -> list[Tensor]:
    """Bases of ``grams`` and the moments of a gradient in them.

    Args:
        mean: running mean of the gradient, in the old bases.
        moment: running mean of its square, in the old bases; any shape, the same.
        dims: dimensions of the two that have a basis.
        grams: ``[n, n]``, symmetric, one for each of ``dims``.
        bases: ``[n, n]``, orthogonal, one for each of ``dims``; their values do not matter before ``begun``.
        due: 0-d bool: refresh by one power iteration and a QR decomposition, eigenvectors in falling order.
        begun: 0-d bool; where it is False the bases become the eigenvectors.

    Returns:
        mean, moment and bases, new tensors.
    """
    if not dims:
        return [mean, moment]
    return list(torch.ops.tessera.refresh_bases(mean, moment, list(dims), list(grams), list(bases), due, begun))


def _refresh(
    mean: Tensor,
    moment: Tensor,
    dims: list[int],
    grams: list[Tensor],
    bases: list[Tensor],
    due: Tensor,
    begun: Tensor,
) -> list[Tensor]:
    old = (mean, moment, *bases)
    new = []
    if not begun:
        new = [_eigenvectors(gram) for gram in grams]
    elif not due:
        new = list(bases)
    else:
        for dim, gram, basis in zip(dims, grams, bases, strict=True):
            wide = torch.promote_types(gram.dtype, torch.float32)  # LAPACK has nothing narrower
            before, matrix = basis.to(wide), gram.to(wide)
            order = torch.argsort((before * (matrix @ before)).sum(0), descending=True)
            moment = moment.index_select(dim, order)
            fresh = torch.linalg.qr(matrix @ before[:, order])[0].to(basis.dtype)
            mean = (mean.movedim(dim, -1) @ (basis.T @ fresh)).movedim(-1, dim)
            new.append(fresh)
    # New memory, laid out as `_shapes` promises a compiler: LAPACK's results lie column by column.
    return [torch.empty_like(like).copy_(value) for like, value in zip(old, (mean, moment, *new), strict=True)]


def _eigenvectors(gram: Tensor) -> Tensor:
    wide = torch.promote_types(gram.dtype, torch.float32)
    return torch.linalg.eigh(gram.to(wide))[1].flip(1).to(gram.dtype)


def _shapes(
    mean: Tensor, moment: Tensor, _: list[int], __: list[Tensor], bases: list[Tensor], *___: Tensor
) -> list[Tensor]:
    return [torch.empty_like(value) for value in (mean, moment, *bases)]


_library.impl("refresh_bases", _refresh, "CompositeExplicitAutograd")
_library.impl("refresh_bases", _shapes, "Meta")
