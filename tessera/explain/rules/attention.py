"""Attention: heads, sizes of query, key and value, and masks that do not fit the scores."""

from __future__ import annotations

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.values import described, dtype, layer, shape


def attention(failure: Failure, operation: Operation) -> Explanation | None:
    """``scaled_dot_product_attention``: which of query, key, value and mask does not go with the others."""
    given = [operation.values.get(name) for name in ("query", "key", "value")]
    if not all(isinstance(each, torch.Tensor) and each.dim() >= 2 for each in given):
        return None
    q, k, v = given
    names = {key: failure.name(operation, key) for key in ("query", "key", "value", "attn_mask")}
    said = failure.received(operation, "query", "key", "value")
    if q.shape[-1] != k.shape[-1]:  # type: ignore[union-attr]
        return Explanation(
            "Shape Error",
            f"{names['key']}: {shape([..., 'S', q.shape[-1]])}",  # type: ignore[union-attr]
            said,
            f"The head dimension of {names['query']} is {q.shape[-1]} and of {names['key']} {k.shape[-1]}; "  # type: ignore[union-attr]
            "scores are products over it, so both have the same.",
            repairs(failure, operation, ("key", "query")) or [f"a projection of {names['key']} to {q.shape[-1]}"],  # type: ignore[union-attr]
        )
    if k.shape[-2] != v.shape[-2]:  # type: ignore[union-attr]
        return Explanation(
            "Shape Error",
            f"{names['value']}: {shape([..., k.shape[-2], 'D'])}",  # type: ignore[union-attr]
            said,
            f"There is one value for each key: {names['key']} has {k.shape[-2]} positions "  # type: ignore[union-attr]
            f"and {names['value']} has {v.shape[-2]}.",  # type: ignore[union-attr]
            repairs(failure, operation, ("value", "key")) or [f"{names['value']} of the same tokens as {names['key']}"],
        )
    found = _batches(failure, operation, names, said) or _mask(failure, operation, names)
    if found is None and len({each.dtype for each in given}) == 1:  # type: ignore[union-attr]
        return None
    return found


def _batches(failure: Failure, operation: Operation, names: dict[str, str], said: list[str]) -> Explanation | None:
    tensors = [operation.values[name] for name in ("query", "key", "value")]
    try:
        torch.broadcast_shapes(*(t.shape[:-2] for t in tensors))
    except RuntimeError:
        q, k = tensors[0], tensors[1]
        fixes = repairs(failure, operation, ("key", "value", "query"), dims_first=True)
        if q.dim() == 4 and q.shape[1] > k.shape[1] > 0 and q.shape[1] % k.shape[1] == 0:
            call = (
                f"F.scaled_dot_product_attention({names['query']}, {names['key']}, {names['value']}, enable_gqa=True)"
            )
            fixes.insert(0, call)
        return Explanation(
            "Shape Error",
            f"leading dims {list(q.shape[:-2])} in all three",
            said,
            "Batch and heads stand before the last two dims, and have to be the same in query, key and value, or 1.",
            fixes or ["x.view(B, S, heads, D).transpose(1, 2)  # for all three"],
        )
    return None


def _mask(failure: Failure, operation: Operation, names: dict[str, str]) -> Explanation | None:
    q, k, mask = (operation.values.get(name) for name in ("query", "key", "attn_mask"))
    if not isinstance(mask, torch.Tensor):
        return None
    scores = (*torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])  # type: ignore[union-attr]
    said = [*failure.received(operation, "query", "key"), f"{names['attn_mask']}: {described(mask)}"]

    def fits(**edited: torch.Tensor) -> bool:
        try:
            return torch.broadcast_shapes(edited.get("attn_mask", mask).shape, scores) == scores
        except RuntimeError:
            return False

    if not fits():
        fixes = repairs(failure, operation, ("attn_mask",), fits, dims_first=True)
        if mask.dim() == 2 and mask.shape == (q.shape[0], k.shape[-2]):  # type: ignore[union-attr]
            between = ", None" * (len(scores) - 2)
            fixes.insert(0, failure.rewritten(operation, attn_mask=f"{{}}[:{between}, :]"))
        return Explanation(
            "Shape Error",
            f"{names['attn_mask']} that broadcasts to the scores, {shape(scores)}",
            said,
            f"The mask says which of {k.shape[-2]} keys each of {q.shape[-2]} queries may look at, "  # type: ignore[union-attr]
            "for every batch and head, or for all of them where it has a 1.",
            fixes or [f"{names['attn_mask']} of shape [{q.shape[-2]}, {k.shape[-2]}]"],  # type: ignore[union-attr]
        )
    if mask.dtype is not torch.bool and mask.dtype != q.dtype:  # type: ignore[union-attr]
        name = names["attn_mask"]
        why = f"A mask is bool, True where a query may look, or added to the scores; {name} is {dtype(mask.dtype)}."
        fixes = [
            failure.rewritten(operation, attn_mask="{}.bool()"),
            failure.rewritten(operation, attn_mask=f"{{}}.to({names['query']}.dtype)"),
        ]
        return Explanation("Dtype Error", f"{name}: bool or {dtype(q.dtype)}", said, why, fixes)  # type: ignore[union-attr]
    return None


def multihead(failure: Failure, operation: Operation) -> Explanation | None:
    """``nn.MultiheadAttention``: another width than ``embed_dim``, or masks of another shape."""
    own = operation.function if isinstance(operation.function, torch.nn.MultiheadAttention) else failure.layer
    if not isinstance(own, torch.nn.MultiheadAttention):
        return None
    q, k, v = (operation.values.get(name) for name in ("query", "key", "value"))
    if not all(isinstance(each, torch.Tensor) for each in (q, k, v)):
        return None
    said = failure.received(operation, "query", "key", "value")
    for name, value, wanted in (("query", q, own.embed_dim), ("key", k, own.kdim), ("value", v, own.vdim)):
        if value.shape[-1] != wanted:  # type: ignore[union-attr]
            called = failure.name(operation, name)
            got = value.shape[-1]  # type: ignore[union-attr]
            word = {"query": "embed_dim", "key": "kdim", "value": "vdim"}[name]
            heads = own.num_heads if word != "embed_dim" or got % own.num_heads == 0 else 1
            again = f"nn.MultiheadAttention({got if word == 'embed_dim' else own.embed_dim}, {heads}"
            again += ")" if word == "embed_dim" else f", {word}={got})"
            return Explanation(
                "Shape Error",
                f"{called}: {shape([..., wanted])}, for {word}={wanted}",
                said,
                f"The last dim of {called} is {got}, and this attention was made for {wanted}.",
                [again, f"nn.Linear({got}, {wanted})({called})  # a layer, made once"],
            )
    first = own.batch_first
    length, batch = (1, 0) if first else (0, 1)
    if q.dim() == k.dim() == 3 and q.shape[batch] != k.shape[batch]:  # type: ignore[union-attr]
        order = "[batch, length, width]" if first else "[length, batch, width]"
        return Explanation(
            "Shape Error",
            f"the same batch in query and key: {order}, for batch_first={first}",
            said,
            f"Dim {batch} is the batch: {q.shape[batch]} in the query and {k.shape[batch]} in the key.",  # type: ignore[union-attr]
            [f"nn.MultiheadAttention({own.embed_dim}, {own.num_heads}, batch_first={not first})"],
        )
    if not (q.dim() == k.dim() == v.dim() == 3):  # type: ignore[union-attr]
        return None
    sizes = {"attn_mask": (q.shape[length], k.shape[length]), "key_padding_mask": (k.shape[batch], k.shape[length])}  # type: ignore[union-attr]
    for name, wanted_sizes in sizes.items():
        mask = operation.values.get(name)
        if not isinstance(mask, torch.Tensor) or tuple(mask.shape) == wanted_sizes:
            continue
        if name == "attn_mask" and tuple(mask.shape) == (q.shape[batch] * own.num_heads, *wanted_sizes):  # type: ignore[union-attr]
            continue
        words = ["queries", "keys"] if name == "attn_mask" else ["batch", "keys"]
        called = failure.name(operation, name)
        fixes = (
            [failure.rewritten(operation, **{name: "{}.T"})]
            if tuple(mask.T.shape if mask.dim() == 2 else ()) == wanted_sizes
            else []
        )
        other = "key_padding_mask" if name == "attn_mask" else "attn_mask"
        if tuple(mask.shape) == sizes[other]:
            fixes.append(f"{other}={called}")
        if not first and q.shape[0] != q.shape[1]:  # type: ignore[union-attr]
            fixes.append(
                f"nn.MultiheadAttention({own.embed_dim}, {own.num_heads}, batch_first=True)  # if the batch comes first"
            )
        return Explanation(
            "Shape Error",
            f"{called}: {shape(wanted_sizes)}, which is [{', '.join(words)}]",
            [*said, f"{called}: {described(mask)}"],
            f"{layer(own)} takes the first dim for the {'batch' if first else 'length, for batch_first=False'}.",
            fixes or [f"a mask of shape {list(wanted_sizes)}"],
        )
    return None
