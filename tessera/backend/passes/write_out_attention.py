"""Attention on a CPU is written out as two products and a softmax; so is its backward.

    before   out, lse = attention(q, k, v)          dq, dk, dv = attention_backward(g, q, k, v, out, lse)
    after    s = q k^T * scale; lse = logsumexp(s)  s and p again; ds = p * (g v^T - sum(g * out)) * scale
             p = exp(s - lse);  out = p v           dq = ds k; dk = ds^T q; dv = p^T g

Torch's fused kernel for a CPU takes 1.4 to 1.6 times as long in float32, and more in bf16, from which it gains nothing
(measured forward and backward with AVX512-bf16, 65 to 1024 places). As in it, the backward computes scores and softmax
again instead of keeping them (Dao et al., FlashAttention, 2022, arXiv:2205.14135); where they are small all together
they are kept, which is a tenth faster. Promise: close.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import fx

from tessera.backend.passes.merge_duplicates import merge_duplicates
from tessera.backend.precision_choice import ATTENTION, ATTENTION_BACKWARD, can_be_written_out, scores_of
from tessera.backend.replace_call import replace_call
from tessera.backend.rewrite import Pass
from tessera.program import Program

KEPT_SCORES = 1 << 26  # bytes of them in float32, of all attentions together


def write_out_attention(program: Program) -> int:
    """Replace every attention on a CPU that is not too large, forward and backward; returns how many."""
    found = [n for n in program.graph.nodes if n.op == "call_function" and n.target in _FORMS and _fits(n)]
    kept = 4 * sum(scores_of(node) for node in found if node.target is ATTENTION)
    for node in found:
        replace_call(program.graph_module, node, partial(_laid_out, _FORMS[node.target], node.meta["val"]))
    if found and kept <= KEPT_SCORES:
        merge_duplicates(program)  # what the backward would compute again is what the forward has
    return len(found)


def _laid_out(form: Callable[..., Any], like: Sequence[torch.Tensor], *args: Any, **kwargs: Any) -> list[torch.Tensor]:
    """What ``form`` returns, in memory as the fused kernel has it: the views that follow rely on that."""
    results = []
    for value, other in zip(form(*args, **kwargs), like, strict=True):
        order = sorted(range(value.dim()), key=lambda dim, other=other: -other.stride(dim))  # type: ignore[misc]
        back = [order.index(dim) for dim in range(value.dim())]
        results.append(value.permute(order).contiguous().permute(back))
    return results


def _attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    dropout_p: float = 0.0,  # noqa: ARG001 - the kernel has none on a CPU
    is_causal: bool = False,
    *,
    attn_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    scores = _scores(q, k, is_causal, attn_mask, scale)
    largest = _finite(scores.amax(-1, keepdim=True))
    unscaled = torch.exp(scores - largest)
    total = unscaled.sum(-1, keepdim=True)
    lse = largest + torch.log(total)
    return torch.matmul(_probabilities(scores, lse).to(v.dtype), v), lse.squeeze(-1)


def _attention_backward(
    grad: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    dropout_p: float,  # noqa: ARG001 - likewise
    is_causal: bool,
    *,
    attn_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    p = _probabilities(_scores(q, k, is_causal, attn_mask, scale), lse.unsqueeze(-1))
    mean = (grad.float() * out.float()).sum(-1, keepdim=True)
    of_scores = p * (torch.matmul(grad, v.mT).float() - mean) * _scale(q, scale)
    of_products = of_scores.to(q.dtype)
    return (
        torch.matmul(of_products, k),
        torch.matmul(of_products.mT, q),
        torch.matmul(p.to(grad.dtype).mT, grad),
    )


def _scores(
    q: torch.Tensor, k: torch.Tensor, is_causal: bool, attn_mask: torch.Tensor | None, scale: float | None
) -> torch.Tensor:
    scores = torch.matmul(q, k.mT).float() * _scale(q, scale)
    if is_causal:
        rows = torch.arange(q.shape[-2], device=q.device).unsqueeze(-1)
        scores = torch.where(torch.arange(k.shape[-2], device=q.device) <= rows, scores, -math.inf)
    if attn_mask is None:
        return scores
    return torch.where(attn_mask, scores, -math.inf) if attn_mask.dtype is torch.bool else scores + attn_mask.float()


def _probabilities(scores: torch.Tensor, lse: torch.Tensor) -> torch.Tensor:
    return torch.exp(scores - _finite(lse))


def _finite(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=torch.finfo(x.dtype).min)  # of a row that is masked throughout


def _scale(q: torch.Tensor, scale: float | None) -> float:
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


_FORMS: dict[Any, Callable[..., Any]] = {ATTENTION: _attention, ATTENTION_BACKWARD: _attention_backward}


_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def _fits(node: fx.Node) -> bool:
    return node.args[0].meta["val"].dtype in _DTYPES and can_be_written_out(node)  # type: ignore[union-attr]


WRITE_OUT_ATTENTION = Pass(
    "write_out_attention", "close", write_out_attention, "fused attention of low precision on a CPU"
)
