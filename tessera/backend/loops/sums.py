"""Sums over all turns of a loop, computed at once.

    loop   total = total + t(mm(t(d), h))            for every turn
    once   t(mm(t(D), H))

``D [turns x rows, m]`` and ``H [turns x rows, n]`` are the stacks of ``d`` and ``h``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx

_ATEN = torch.ops.aten


@dataclass(frozen=True)
class Sum:
    """The sum over all turns of what one turn computes from ``factors``; ``total`` takes their stacks."""

    factors: tuple[fx.Node, ...]
    total: Callable[..., Tensor]


def sum_over_turns(node: fx.Node) -> Sum | None:
    """The sum of ``node`` over all turns, where it is linear in a product or a sum; None where it is something else."""
    rule = _RULES.get(node.target)
    return rule(node) if rule is not None else None


def _of_transposed(node: fx.Node) -> Sum | None:
    inner = sum_over_turns(node.all_input_nodes[0])
    if inner is None or node.meta["val"].dim() != 2:
        return None
    return Sum(inner.factors, lambda *stacks: inner.total(*stacks).t())


def _of_reshaped(node: fx.Node) -> Sum | None:
    inner, shape = sum_over_turns(node.all_input_nodes[0]), tuple(node.meta["val"].shape)
    return inner and Sum(inner.factors, lambda *stacks: inner.total(*stacks).reshape(shape))


def _of_added(node: fx.Node) -> Sum | None:
    if len(node.args) != 2 or node.kwargs or not all(isinstance(one, fx.Node) for one in node.args):
        return None
    left, right = (sum_over_turns(one) for one in node.args)  # type: ignore[arg-type]
    if left is None or right is None or len({tuple(one.meta["val"].shape) for one in node.args}) > 1:  # type: ignore[union-attr]
        return None
    count = len(left.factors)
    return Sum(
        (*left.factors, *right.factors), lambda *stacks: left.total(*stacks[:count]) + right.total(*stacks[count:])
    )


def _of_summed(node: fx.Node) -> Sum | None:
    value, dims = node.args[0], node.args[1] if len(node.args) > 1 else None
    if node.kwargs or not isinstance(value, fx.Node) or not dims:
        return None
    rank, shape = value.meta["val"].dim(), tuple(node.meta["val"].shape)
    along = [0, *(dim % rank + 1 for dim in dims)]  # type: ignore[union-attr]
    return Sum((value,), lambda stack: stack.sum(along).reshape(shape))


def _of_product(node: fx.Node) -> Sum | None:
    if len(node.args) != 2 or node.kwargs:
        return None
    (left, left_turned), (right, right_turned) = (_untransposed(one) for one in node.args)  # type: ignore[arg-type]

    def total(a: Tensor, b: Tensor) -> Tensor:
        # [turns, m, j] and [turns, j, n] as one product over turns and j together.
        a = a.flatten(0, 1).t() if left_turned else a.transpose(0, 1).flatten(1)
        b = b.transpose(1, 2).flatten(0, 1) if right_turned else b.flatten(0, 1)
        return a @ b

    return Sum((left, right), total)


def _untransposed(node: fx.Node) -> tuple[fx.Node, bool]:
    """What ``node`` is the transpose of, and whether it is one."""
    if node.target is _ATEN.t.default or (node.target, node.args[1:]) == (_ATEN.permute.default, ([1, 0],)):
        inner, turned = _untransposed(node.args[0])  # type: ignore[arg-type]
        return inner, not turned
    return node, False


_RULES: dict[object, Callable[[fx.Node], Sum | None]] = {
    _ATEN.t.default: _of_transposed,
    _ATEN.permute.default: _of_transposed,
    _ATEN.view.default: _of_reshaped,
    _ATEN._unsafe_view.default: _of_reshaped,
    _ATEN.reshape.default: _of_reshaped,
    _ATEN.add.Tensor: _of_added,
    _ATEN.sum.dim_IntList: _of_summed,
    _ATEN.mm.default: _of_product,
}
