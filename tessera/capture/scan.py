"""``tessera.scan``: a loop over time that stays one loop when it is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tessera import torch_internals
from tessera.errors import SettingError


def scan(step: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, *, reverse: bool = False) -> tuple[Any, Any]:
    """Carry a state through ``xs``, as ``jax.lax.scan`` does.

        carry, ys = init, []
        for x in xs: carry, y = step(carry, x); ys.append(y)
        return carry, stack(ys)

    Eagerly it is that loop. In what Tessera compiles it is one loop whose turn is compiled once, forward and backward,
    whatever the number of turns. ``step`` may use parameters and tensors from around it; it has no side effects.

    Args:
        step: ``step(carry, x) -> (carry, y)``; the carry keeps its structure, shapes and dtypes.
        init: the first carry: a tensor, or nested lists, tuples and dicts of tensors.
        xs: likewise, each tensor ``[turns, ...]`` with at least one turn; ``step`` sees one element of each.
        reverse: begin with the last element. ``ys`` stand where their elements are.

    Returns:
        The last carry, and ``ys``: what ``step`` returned second, each tensor ``[turns, ...]``.

    Raises:
        SettingError: a leaf is no tensor, the lengths of ``xs`` differ or are 0, or the carry changes.

    Example:
        >>> totals = tessera.scan(lambda total, x: (total + x, total + x), torch.zeros(()), torch.arange(4.0))[1]
    """
    turns = _check(init, xs)
    if torch.compiler.is_dynamo_compiling():
        return torch_internals.captured_scan(_without_aliases(step), init, xs, reverse=reverse)
    carry, before = init, _description(init)
    ys: list[Any] = [None] * turns
    for t in reversed(range(turns)) if reverse else range(turns):
        carry, ys[t] = step(carry, torch_internals.on_leaves(lambda x: x[t], xs))  # noqa: B023 - called at once
        if _description(carry) != before:
            raise SettingError(
                f"The carry was {before}, and step made {_description(carry)} of it.",
                "Every turn takes what the one before returned: its structure, shapes and dtypes stay.",
                "Give init the shapes and dtypes that step returns first.",
            )
    _, nest = torch_internals.flattened(ys[0])
    rows = zip(*(torch_internals.flattened(y)[0] for y in ys), strict=True)
    return carry, nest([torch.stack(row) if isinstance(row[0], Tensor) else row[0] for row in rows])


def _check(init: Any, xs: Any) -> int:
    """The number of turns."""
    given = [("init", leaf) for leaf in torch_internals.flattened(init)[0]]
    given += [("xs", leaf) for leaf in torch_internals.flattened(xs)[0]]
    for name, leaf in given:
        if not isinstance(leaf, Tensor) or (name == "xs" and leaf.dim() == 0):
            received = "a tensor of no dimension" if isinstance(leaf, Tensor) else f"a {type(leaf).__name__}"
            raise SettingError(
                f"{name} holds {received}.",
                "init and xs are tensors, or nests of them, and those of xs have a leading dimension.",
                "Write torch.tensor(number), or let step take it from around it.",
            )
    lengths = {leaf.shape[0] for name, leaf in given if name == "xs"}
    carries = sum(name == "init" for name, _ in given)
    if len(lengths) != 1 or lengths == {0} or not carries:
        raise SettingError(
            f"xs has leading dimensions {sorted(lengths)}, and init {carries} tensors.",
            "All tensors of xs have the same number of elements, at least 1, and there is a carry.",
            "Write tessera.scan(step, torch.zeros(3), torch.randn(10, 3)).",
        )
    return int(lengths.pop())


def _description(carry: Any) -> str:
    return str(torch_internals.on_leaves(_kind, carry))


def _kind(leaf: Any) -> str:
    return f"{str(leaf.dtype).removeprefix('torch.')}{list(leaf.shape)}" if isinstance(leaf, Tensor) else repr(leaf)


def _without_aliases(step: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """``step`` whose results are memory of their own, which torch's operator wants; a loop leaves the copies out."""

    def separate(carry: Any, x: Any) -> tuple[Any, Any]:
        carry, y = step(carry, x)
        return torch_internals.on_leaves(torch.clone, carry), torch_internals.on_leaves(torch.clone, y)

    return separate
