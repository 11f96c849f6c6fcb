"""Sizes as numbers: operators that torch.onnx translates with a number written in the file, and not with a size.

A dimension that may change is a value in the file, not a number of it. What takes a number takes a tensor as well:

    x % n   ->   x % tensor(n)

and what is split in pieces of ``n`` is split in pieces of these sizes, which are as many as in the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from tessera.export.plain_operators import in_plain_operators


def sizes_as_tensors(program: ExportedProgram) -> ExportedProgram:
    """``program`` with tensors where these operators take a size.

    Twice, for a chunk becomes a split whatever is said of it.
    """
    for _ in range(2):
        if any(map(_takes_a_size, program.graph.nodes)):
            program = in_plain_operators(program, OF_SIZES)
    return program


def _takes_a_size(node: torch.fx.Node) -> bool:
    if node.op != "call_function" or str(node.target) not in OF_SIZES:
        return False
    if node.target is torch.ops.aten.chunk.default:
        return _is_open(node.args[0].meta["val"].shape[node.args[2] if len(node.args) > 2 else 0])  # type: ignore[union-attr]
    return any(_is_open(each.meta.get("val")) for each in node.all_input_nodes)


def _with_tensors(operator: Callable[..., Tensor]) -> Callable[..., Any]:
    """``operator``, called with tensors where it was called with a size."""

    def written(*args: Any, **kwargs: Any) -> Any:
        if not any(map(_is_open, args)):
            return NotImplemented
        device = next(each.device for each in args if isinstance(each, Tensor))
        return operator(*(_as_tensor(each, device) if _is_open(each) else each for each in args), **kwargs)

    return written


def _is_open(value: Any) -> bool:
    return isinstance(value, (torch.SymInt, torch.SymFloat))


def _as_tensor(size: Any, device: torch.device) -> Tensor:
    kind = torch.get_default_dtype() if isinstance(size, torch.SymFloat) else torch.int64
    return torch.full((), size, dtype=kind, device=device)


def put_where_they_fall(x: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """``scatter`` of one number that is a size."""
    if not _is_open(value):
        return NotImplemented
    return x.scatter(dim, index, _as_tensor(value, x.device).to(x.dtype).expand(index.shape))


def sum_with_products(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Tensor:
    """``addcmul`` whose factor is a size."""
    return x + a * b * value if _is_open(value) else NotImplemented


def sum_with_quotients(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Tensor:
    """``addcdiv`` whose factor is a size."""
    return x + a / b * value if _is_open(value) else NotImplemented


def rolled(x: Tensor, shifts: Sequence[Any], dims: Sequence[int] = ()) -> Tensor:
    """``roll`` by a size: every place takes what is so many places before it."""
    if not any(map(_is_open, shifts)) or not dims:
        return NotImplemented
    for shift, dim in zip(shifts, dims, strict=True):
        length = x.shape[dim]
        places = torch.arange(length, device=x.device) - shift
        x = x.index_select(dim, torch.remainder(places, _as_tensor(length, x.device)))
    return x


def pieces(x: Tensor, size: Any, dim: int = 0) -> Any:
    """``split`` in pieces as long as another dimension."""
    if not _is_open(size):
        return NotImplemented
    whole = x.shape[dim]
    count = int((whole + size - 1) // size)
    return x.split([*[size] * (count - 1), whole - size * (count - 1)], dim)


def parts(*_: Any) -> Any:
    """``chunk`` is a split."""
    return NotImplemented


OF_SIZES: dict[str, Callable[..., Any]] = {
    "aten.remainder.Scalar": _with_tensors(torch.remainder),
    "aten.remainder.Scalar_Tensor": _with_tensors(torch.remainder),
    "aten.pow.Tensor_Scalar": _with_tensors(torch.pow),
    "aten.scatter.value": put_where_they_fall,
    "aten.addcmul.default": sum_with_products,
    "aten.addcdiv.default": sum_with_quotients,
    "aten.roll.default": rolled,
    "aten.split.Tensor": pieces,
    "aten.chunk.default": parts,
}
for _bits in ("and", "or", "xor"):
    _written = _with_tensors(getattr(torch, f"bitwise_{_bits}"))
    OF_SIZES |= dict.fromkeys((f"aten.bitwise_{_bits}.Scalar", f"aten.__{_bits}__.Scalar"), _written)
