"""Attention is chosen anew: the CPU's fused operator becomes the one that PyTorch takes on a GPU.

    before   out, lse = flash_attention_for_cpu(q, k, v, dropout, causal, attn_mask=mask)
    after    out, lse, ... = flash_attention(q, k, v, dropout, causal)             float16 or bfloat16, no mask
             out, lse, ... = efficient_attention(q, k, v, bias, True, dropout, causal)    everything else

and their backwards likewise. Flash: Dao et al., 2022, arXiv:2205.14135; memory-efficient: Rabe and Staats, 2021,
arXiv:2112.05682. Both take a head dimension that is a multiple of 8; the rules are those of ``sdp_utils.cpp`` in torch.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten
_FLASH, _FLASH_BACKWARD, _EFFICIENT, _EFFICIENT_BACKWARD, _CPU, _CPU_BACKWARD = (
    getattr(aten, f"_scaled_dot_product_{name}").default
    for name in (
        *("flash_attention", "flash_attention_backward", "efficient_attention", "efficient_attention_backward"),
        *("flash_attention_for_cpu", "flash_attention_for_cpu_backward"),
    )
)
_ALIGNMENT = 16  # elements: rows of the bias begin at multiples of it
_FLASH_DTYPES = (torch.float16, torch.bfloat16)
_FLASH_LARGEST = 256  # elements of a head


class Attention:
    """Translates the attention operators of one graph.

    Args:
        add: adds a node to the new graph and returns it.
    """

    def __init__(self, add: Callable[..., fx.Node]) -> None:
        self._add = add
        self._random: dict[fx.Node, tuple[Any, Any]] = {}  # logsumexp -> seed and offset of the forward
        self._biases: dict[fx.Node | None, fx.Node | None] = {}

    def forward(
        self,
        q: fx.Node,
        k: fx.Node,
        v: fx.Node,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        attn_mask: fx.Node | None = None,
        scale: float | None = None,
    ) -> tuple[fx.Node, fx.Node]:
        """Output and logsumexp."""
        if _takes_flash(q, attn_mask):
            made = self._add(_FLASH, q, k, v, dropout_p, is_causal, scale=scale)
            random = 6, 7
        else:
            bias = self._bias(q, k, attn_mask)
            made = self._add(
                _EFFICIENT,
                *(q, k, v, bias, True, dropout_p, is_causal),
                scale=scale,
            )
            random = 2, 3
        out, logsumexp = self._part(made, 0), self._part(made, 1)
        self._random[logsumexp] = self._part(made, random[0]), self._part(made, random[1])
        return out, logsumexp

    def backward(
        self,
        grad: fx.Node,
        q: fx.Node,
        k: fx.Node,
        v: fx.Node,
        out: fx.Node,
        logsumexp: fx.Node,
        dropout_p: float,
        is_causal: bool,
        *,
        attn_mask: fx.Node | None = None,
        scale: float | None = None,
    ) -> tuple[fx.Node, fx.Node, fx.Node]:
        """Gradients of q, k and v."""
        random = self._random[logsumexp]
        if _takes_flash(q, attn_mask):
            lengths = q.meta["val"].shape[2], k.meta["val"].shape[2]
            made = self._add(
                _FLASH_BACKWARD,
                *(grad, q, k, v, out, logsumexp, None, None, *lengths, dropout_p, is_causal, *random),
                scale=scale,
            )
        else:
            bias, wanted = self._bias(q, k, attn_mask), [True, True, True, False]
            made = self._add(
                _EFFICIENT_BACKWARD,
                *(grad, q, k, v, bias, out, logsumexp, *random, dropout_p, wanted, is_causal),
                scale=scale,
            )
        return self._part(made, 0), self._part(made, 1), self._part(made, 2)

    def _part(self, made: fx.Node, index: int) -> fx.Node:
        return self._add(operator.getitem, made, index)

    def _bias(self, q: fx.Node, k: fx.Node, mask: fx.Node | None) -> fx.Node | None:
        """What is added to the scores, spread over batch and heads, with rows that begin at aligned places."""
        if mask not in self._biases:
            self._biases[mask] = None if mask is None else self._aligned(q, k, mask)
        return self._biases[mask]

    def _aligned(self, q: fx.Node, k: fx.Node, mask: fx.Node) -> fx.Node:
        value = q.meta["val"]
        if mask.meta["val"].dtype is torch.bool:
            options = {"dtype": value.dtype, "device": value.device}
            kept, left_out = (self._add(aten.full.default, [], number, **options) for number in (0.0, -torch.inf))
            mask = self._add(aten.where.self, mask, kept, left_out)
        batch, heads, rows = value.shape[:3]
        columns = k.meta["val"].shape[2]
        if missing := -columns % _ALIGNMENT:
            mask = self._add(aten.expand.default, mask, [*mask.meta["val"].shape[:-1], columns])
            padded = self._add(aten.constant_pad_nd.default, mask, [0, missing])
            mask = self._add(aten.slice.Tensor, padded, -1, 0, columns)
        return self._add(aten.expand.default, mask, [batch, heads, rows, columns])


def _takes_flash(q: fx.Node, mask: fx.Node | None) -> bool:
    value = q.meta["val"]
    head = value.shape[-1]
    return mask is None and value.dtype in _FLASH_DTYPES and head % 8 == 0 and head <= _FLASH_LARGEST


ATTENTION: dict[Any, Callable[..., Any]] = {
    _CPU: Attention.forward,
    _CPU_BACKWARD: Attention.backward,
}
