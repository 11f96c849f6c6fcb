"""Operators that runtimes have not, in operators that all of them have.

Routing of tokens to experts comes down to two of them. The rows of a grouped product, sorted by group, are multiplied
each with the matrix of its group; in one product of fixed form, with a row's numbers in the columns of its group:

    grouped(x, w, ends)  ->  [0 .. x[r] .. 0] @ [w[0]; w[1]; ...]      the place of x[r] is its group

which multiplies with zeros what a grouped product leaves out. A histogram is a count of the places that fall together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.overrides import TorchFunctionMode


class GroupedWrittenOut(TorchFunctionMode):
    """Within, grouped products are written out as they are called: torch traces them in bfloat16 alone."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("grouped_mm", "_grouped_mm"):
            found = grouped_product(*args, **(kwargs or {}))
            if found is not NotImplemented:
                return found
        return func(*args, **(kwargs or {}))


def in_plain_operators(
    program: ExportedProgram, table: Mapping[str, Callable[..., Any]] | None = None
) -> ExportedProgram:
    """``program`` with what stands in ``table`` written out; those that no runtime has, where none is given."""
    wanted = PLAIN if table is None else table
    found = {
        node.target: wanted[str(node.target)]
        for module in program.graph_module.modules()
        if isinstance(module, torch.fx.GraphModule)
        for node in module.graph.nodes
        if node.op == "call_function" and str(node.target) in wanted
    }
    return program.run_decompositions(found) if found else program


def grouped_product(x: Tensor, weights: Tensor, offs: Tensor | None = None, *rest: Any, **more: Any) -> Tensor:
    """``x`` is ``[R, I]``, ``weights`` ``[G, I, O]``, ``offs[g]`` the first row behind group ``g``: ``[R, O]``."""
    if offs is None or any(each is not None for each in (*rest, *more.values())) or (x.dim(), weights.dim()) != (2, 3):
        return NotImplemented
    groups = weights.shape[0]
    row = torch.arange(x.shape[0], device=x.device)
    group = (row[:, None] >= offs[None, :]).sum(-1)
    own = group[:, None] == torch.arange(groups, device=x.device)
    wide = torch.where(own[:, :, None], x[:, None, :], torch.zeros((), dtype=x.dtype, device=x.device))
    return wide.flatten(1) @ weights.flatten(0, 1)


def histogram(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """``torch.histc`` between two numbers; those of the data are left to it."""
    if min == max:
        return NotImplemented
    x = x.flatten()
    place = ((x - min) * (bins / (max - min))).floor().clamp(0, bins - 1)
    inside = (x >= min) & (x <= max)
    same = place[:, None] == torch.arange(bins, device=x.device)
    return (same & inside[:, None]).sum(0).to(x.dtype)


def running_product(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """``torch.cumprod``: of a known length in rounds of 1, 2, 4, ... places, else as the product of each beginning."""
    x = x.to(dtype or (x.dtype if x.is_floating_point() else torch.int64))
    if not x.dim():
        return x.clone()
    x = x.movedim(dim, -1)
    length = x.shape[-1]
    if isinstance(length, int):
        step = 1
        while step < length:
            x = torch.cat([x[..., :step], x[..., step:] * x[..., :-step]], -1)
            step *= 2
        return x.movedim(-1, dim)
    place = torch.arange(length, device=x.device)
    before = place[:, None] >= place
    return (
        torch.where(before, x.unsqueeze(-2), torch.ones((), dtype=x.dtype, device=x.device)).prod(-1).movedim(-1, dim)
    )


PLAIN: dict[str, Callable[..., Any]] = {
    "aten._grouped_mm.default": grouped_product,
    "transformers.grouped_mm_fallback.default": grouped_product,  # Hugging Face's, where torch's does not compile
    "aten.histc.default": histogram,
}
