"""Attention, however it is spelled, becomes the fused operator; done before there is a backward.

    before   s = einsum("bshd,bthd->bhst", q, k) / 8       [batch, heads, rows, columns], kept for the backward
             p = softmax(s.masked_fill(mask, -inf), -1)
             o = einsum("bhst,bthd->bshd", p, v)
    after    o = scaled_dot_product_attention(q', k', v', mask', scale=1/8)     views of the same q, k, v

What counts is what is computed (see ``attention/recognise.py``), so ``matmul``, ``bmm``, ``baddbmm`` and ``einsum``,
masks that are added or filled in, causal ones, sliding windows, ALiBi, grouped queries, a softmax in float32 or written
out are all one. Dropout of the probabilities, a bias that is trained, and scores or probabilities that are used
elsewhere stay as they are. The scores of one attention then never are in memory as a whole, or not until the backward.
Promise: close.

References:
    Dao et al., FlashAttention, 2022, arXiv:2205.14135.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.attention.forward_trace import ForwardTrace, trace_forward
from tessera.backend.attention.fused import write_fused
from tessera.backend.attention.recognise import Attention, NotAttention, find_attention
from tessera.backend.attention.writing import Writer
from tessera.backend.rewrite import Captured, EarlyPass

# Measured on a CPU, forward and backward take 1.1 (computed again in the backward) to 1.6 (fused) times as long.
KEPT_SCORES = 1 << 26  # bytes of all scores of a training step, which are kept for its backward
SCORES = 1 << 28  # bytes of the scores of one attention without a backward


def fuse_attention(captured: Captured) -> int:
    """Rewrite every attention that pays; returns how many."""
    if not _may_have_a_softmax(captured.graph_module):
        return 0
    try:
        trace = trace_forward(captured.graph_module, captured.inputs)
    except Exception as error:  # what runs in Python alone may not be traced; the graph stays as it is
        captured.notes.append(f"attention was not looked for: {torch_internals.compiler_reason(error)}")
        return 0
    if trace is None:
        captured.notes.append("attention was not looked for: an input is no tensor, or has a size that changes")
        return 0
    found = list(find_attention(trace))
    reasons = Counter(str(one) for one in found if isinstance(one, NotAttention))
    recognised = [one for one in found if isinstance(one, Attention)]
    if not captured.abroad and (reason := why_it_does_not_pay(recognised)):
        reasons[reason] += len(recognised)
        recognised = []
    matched = 0
    for one in recognised:
        try:
            _rewrite(captured, trace, one)
            matched += 1
        except NotAttention as why:
            reasons[str(why)] += 1
    kept = [(reason, count) for reason, count in reasons.items() if reason]
    captured.notes += [f"attention stays as it is written ({count} of {len(found)}): {why}" for why, count in kept]
    return matched


def why_it_does_not_pay(found: Sequence[Attention]) -> str:
    """Why these attentions of one graph are faster as they are, on the device they are on; empty if they are not."""
    scores = [one.inside[0].meta["val"] for one in found]
    if not scores or any(value.device.type != "cpu" for value in scores):
        return ""  # a GPU's kernel is faster whatever its size
    if any(value.dtype is torch.float64 for value in scores):
        return "the fused operator's backward in float64 fails on a CPU, up to torch 2.12"
    trained = torch.is_grad_enabled()
    size = sum(value.nbytes for value in scores) if trained else max(value.nbytes for value in scores)
    if size >= (KEPT_SCORES if trained else SCORES):
        return ""
    return f"its scores are {size / 2**20:.1f} MiB, less than the fused operator's slower kernel is worth on a CPU"


def _may_have_a_softmax(graph_module: fx.GraphModule) -> bool:
    names = (
        n.target if isinstance(n.target, str) else getattr(n.target, "__name__", "") for n in graph_module.graph.nodes
    )
    return any("softmax" in name or name in _MAY_CONTAIN_ONE for name in names)


_MAY_CONTAIN_ONE = ("exp", "exp_", "multi_head_attention_forward")


def _rewrite(captured: Captured, trace: ForwardTrace, found: Attention) -> None:
    graph = captured.graph_module.graph
    exits = list(_exits(trace, found.out.node))
    order = {node: at for at, node in enumerate(graph.nodes)}
    held = [trace.held_by[operation] for operation in exits]
    _check_place(trace, found, order, held)
    writer = Writer(graph, trace, min(held, key=order.__getitem__))
    try:
        writer.put(found.out.node, write_fused(writer, found))
        for operation, node in zip(exits, held, strict=True):
            new = writer.value(operation)
            new.meta["example_value"] = node.meta.get("example_value")
            node.replace_all_uses_with(new)
            graph.erase_node(node)
            trace.held_by[operation] = new
    except BaseException:
        writer.undo()
        raise


def _exits(trace: ForwardTrace, out: fx.Node) -> Iterator[fx.Node]:
    """The values of the captured graph in which the result of an attention appears first."""
    waiting, seen = [out], set()
    while waiting:
        operation = waiting.pop()
        if operation in seen:
            continue
        seen.add(operation)
        if operation in trace.held_by:
            yield operation
            continue
        if operation in trace.results:
            raise NotAttention("its result is written to")
        waiting += [user for user in operation.users if user in trace.live]


def _check_place(trace: ForwardTrace, found: Attention, order: dict[fx.Node, int], exits: list[fx.Node]) -> None:
    """Refuse where autograd or autocast changes on the way, and where the way is the body of another function."""
    inside = set(found.inside)
    first = min((order[node] for node, operation in trace.made_by.items() if operation in inside), default=-1)
    last = max(order[node] for node in exits)
    for node, at in order.items():
        name = getattr(node.target, "__name__", "")
        if first <= at <= last and node.op == "call_function" and name.startswith(("_enter_", "_exit_", "_set_")):
            raise NotAttention("autograd or autocast changes within it")
    for node in exits:
        if any(n.op == "get_attr" for source in (node, *node.all_input_nodes) for n in source.all_input_nodes):
            raise NotAttention("it is part of a checkpoint or another function")


FUSE_ATTENTION = EarlyPass("fuse_attention", "close", fuse_attention)
