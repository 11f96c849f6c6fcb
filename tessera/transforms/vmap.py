"""``tessera.vmap``: a function of one sample becomes one of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import TransformError
from tessera.transforms.arguments import check_function, named_like


def vmap(
    function: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Run a function on every element of a dim at once, as if in a loop, without the loop.

    Args:
        function: of tensors or nests of them. Inside, tensors lack the dim that is mapped over.
        in_dims: which dim of each argument is mapped over: one number for all, or a tuple with one entry for each
            argument, nested like it where dims differ; None for what is the same in every element.
        out_dims: where the dim stands in the results, likewise.
        randomness: ``"error"`` refuses random numbers, ``"different"`` draws others for every element, ``"same"``
            the same ones.
        chunk_size: how many elements run at a time; None for all of them.

    Returns:
        A function of batches. What is passed by name is mapped over its first dim.

    Raises:
        TransformError: ``randomness`` is none of the three; ``in_dims`` do not fit the arguments; sizes differ.

    Example:
        >>> import torch, tessera
        >>> tessera.vmap(torch.dot)(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([1., 4.])
        >>> tessera.vmap(lambda w, x: w * x, in_dims=(None, 1), out_dims=1)(torch.tensor(2.0), torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    check_function(function, "vmap")
    if randomness not in ("error", "different", "same"):
        raise TransformError(
            f"randomness={randomness!r} was passed to tessera.vmap.",
            "It is 'error', 'different' for other numbers in every element, or 'same'.",
            "Write tessera.vmap(f, randomness='different').",
        )
    mapped = torch.func.vmap(function, in_dims, out_dims, randomness, chunk_size=chunk_size)

    @named_like(function)
    def batched(*args: Any, **named: Any) -> Any:
        if isinstance(in_dims, int | tuple):
            _check_dims(in_dims, args)
        return mapped(*args, **named)

    return batched


def _check_dims(in_dims: int | tuple[Any, ...], args: tuple[Any, ...]) -> None:
    dims = (in_dims,) * len(args) if isinstance(in_dims, int) else in_dims
    if len(dims) != len(args):
        raise TransformError(
            f"tessera.vmap has in_dims={in_dims} for {len(dims)} arguments, and was called with {len(args)}.",
            "in_dims has one entry for each positional argument.",
            "Write in_dims=0 for the first dim of all, or None for an argument that is the same in every element.",
        )
    sizes = {}
    for number, (dim, value) in enumerate(zip(dims, args, strict=True)):
        for leaf in torch_internals.flattened(value)[0] if isinstance(dim, int) else ():
            if not isinstance(leaf, torch.Tensor) or not -leaf.dim() <= dim < leaf.dim():
                given = f"a tensor of shape {list(leaf.shape)}" if isinstance(leaf, torch.Tensor) else repr(leaf)
                raise TransformError(
                    f"tessera.vmap is to map over dim {dim} of argument {number}, which holds {given}.",
                    "What is mapped over are tensors that have the dim.",
                    f"Write in_dims=({', '.join('None' if n == number else '0' for n in range(len(args)))}"
                    f"{',' if len(args) == 1 else ''}) for an argument that is the same in every element.",
                )
            sizes[number] = leaf.shape[dim]
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"argument {number}: {size}" for number, size in sizes.items())
        raise TransformError(
            f"tessera.vmap was given different sizes to map over, {listed}.",
            "All arguments go side by side, element by element, and have equally many.",
            "Write in_dims=(0, None) for one that is the same in every element, or choose another dim of it.",
        )
    if not sizes and len(args) > 0 and all(dim is None for dim in dims):
        raise TransformError(
            f"tessera.vmap has in_dims={in_dims}, which map over nothing.",
            "At least one argument has a dim that is mapped over.",
            "Write in_dims=0.",
        )
