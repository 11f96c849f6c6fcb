"""``tessera.cond``: one of two functions, chosen by a value; captured, both are compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import TransformError


def cond(
    predicate: bool | torch.Tensor,
    true_function: Callable[..., Any],
    false_function: Callable[..., Any],
    operands: Sequence[Any] = (),
) -> Any:
    """``true_function(*operands) if predicate else false_function(*operands)``.

    Eagerly it is that line, and only the chosen function runs. In what Tessera compiles both are compiled, and the
    value chooses at run time; there they return the same structure, shapes and dtypes, have no side effects, and
    change nothing in place, else this piece runs eagerly and the Report says so. Under ``vmap`` with a predicate for
    each element both run, and each element takes the result of its own.

    Args:
        predicate: a bool, or a tensor with one element.
        true_function: of ``operands``; returns tensors, or nests of them. It may use tensors from around it.
        false_function: likewise.
        operands: a tuple or list of tensors, or nests of them.

    Raises:
        TransformError: the predicate is not one truth value, or ``operands`` is no tuple or list.

    Example:
        >>> import torch, tessera
        >>> def halve_or_step(x):
        ...     return tessera.cond(x.sum() > 10, lambda x: x / 2, lambda x: x + 1, (x,))
        >>> halve_or_step(torch.tensor([8.0, 4.0])), halve_or_step(torch.tensor([1.0, 2.0]))
        (tensor([4., 2.]), tensor([2., 3.]))
        >>> tessera.grad(lambda x: tessera.cond(x > 0, lambda x: x ** 2, lambda x: -x, (x,)))(torch.tensor(3.0))
        tensor(6.)
    """
    _check(predicate, true_function, false_function, operands)
    given = tuple(operands)
    if isinstance(predicate, torch.Tensor):
        if torch.compiler.is_dynamo_compiling():
            return torch.cond(predicate.reshape(()), true_function, false_function, given)
        if torch_internals.is_batched(predicate):
            taken, other = true_function(*given), false_function(*given)
            return torch_internals.on_leaves_of_both(_choice(predicate), taken, other)
    return true_function(*given) if predicate else false_function(*given)


def _choice(predicate: torch.Tensor) -> Callable[[Any, Any], Any]:
    flag = predicate.reshape(()).bool()

    def chosen(a: Any, b: Any) -> Any:
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and (a.shape, a.dtype) == (b.shape, b.dtype):
            return torch.where(flag, a, b)
        raise TransformError(
            f"The functions of a tessera.cond under vmap returned {_kind(a)} and {_kind(b)}.",
            "Both run, and each element takes one of the two results, so these have one shape and dtype.",
            "Write the two functions with equal results.",
        )

    return chosen


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return f"a {type(value).__name__}"


def _check(predicate: Any, true_function: Any, false_function: Any, operands: Any) -> None:
    one = isinstance(predicate, torch.Tensor) and predicate.numel() == 1
    if not one and not isinstance(predicate, bool):
        raise TransformError(
            f"tessera.cond was given {_kind(predicate)} to decide by.",
            "It is one truth value: a bool, or a tensor with one element.",
            "Write (x > 0).all() or .any(), or torch.where(mask, a, b) to choose element by element.",
        )
    if not callable(true_function) or not callable(false_function):
        raise TransformError(
            f"tessera.cond was given a {type(true_function).__name__} and a {type(false_function).__name__}.",
            "It takes two functions, of which one is called.",
            "Write tessera.cond(flag, lambda x: x + 1, lambda x: x, (x,)).",
        )
    if not isinstance(operands, tuple | list):
        raise TransformError(
            f"tessera.cond was given a {type(operands).__name__} for its operands.",
            "They are a tuple, with one entry for each argument of the functions.",
            "Write tessera.cond(flag, f, g, (x,)).",
        )
