"""ONNX's layers in PyTorch: convolution, pooling, normalisation, recurrence, attention, images, losses."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.export.node_cases.operators import NotTheSame, whole

# Windows.


def _pads(a, sizes, kernel, strides, dilations):
    """Before and after each of the dimensions."""
    auto = a.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID"):
        given = a.get("pads", [0] * 2 * len(sizes)) if auto == "NOTSET" else [0] * 2 * len(sizes)
        return list(zip(given[: len(sizes)], given[len(sizes) :], strict=True))
    pads = []
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        less, more = total // 2, total - total // 2
        pads.append((less, more) if auto == "SAME_UPPER" else (more, less))
    return pads


def _flat(pads):
    return [n for pair in reversed(pads) for n in pair]


def _window(a, x, kernel):
    ones = [1] * len(kernel)
    strides, dilations = list(a.get("strides", ones)), list(a.get("dilations", ones))
    return strides, dilations, _pads(a, x.shape[2:], kernel, strides, dilations)


def conv(a, x, weight, bias=None):
    strides, dilations, pads = _window(a, x, weight.shape[2:])
    function = (F.conv1d, F.conv2d, F.conv3d)[x.dim() - 3]
    symmetric = all(before == after for before, after in pads)
    inside = [before for before, _ in pads] if symmetric else 0
    return function(
        x if symmetric else F.pad(x, _flat(pads)), weight, bias, strides, inside, dilations, a.get("group", 1)
    )


def conv_transpose(a, x, weight, bias=None):
    kernel = list(weight.shape[2:])
    ones = [1] * len(kernel)
    strides, dilations = list(a.get("strides", ones)), list(a.get("dilations", ones))
    extra = list(a.get("output_padding", [0] * len(kernel)))
    full = [
        (n - 1) * s + d * (k - 1) + 1 + o
        for n, s, d, k, o in zip(x.shape[2:], strides, dilations, kernel, extra, strict=True)
    ]
    auto = a.get("auto_pad", "NOTSET")
    if "output_shape" in a or auto.startswith("SAME"):
        sizes = a.get("output_shape") or [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
        cut = [n - size for n, size in zip(full, sizes, strict=True)]
        pads = [(n // 2, n - n // 2) if auto != "SAME_LOWER" else (n - n // 2, n // 2) for n in cut]
    else:
        given = a.get("pads", [0] * 2 * len(kernel))
        pads = list(zip(given[: len(kernel)], given[len(kernel) :], strict=True))
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[x.dim() - 3]
    answer = function(x, weight, None, strides, 0, 0, a.get("group", 1), dilations)
    answer = F.pad(answer, _flat([(-before, o - after) for (before, after), o in zip(pads, extra, strict=True)]))
    return answer if bias is None else answer + bias.reshape(-1, *[1] * len(kernel))


def max_pool(a, x):
    kernel = a["kernel_shape"]
    strides, dilations, pads = _window(a, x, kernel)
    if a.get("storage_order") or any(before != after for before, after in pads):
        if a["outputs"] > 1 or a.get("ceil_mode"):
            raise NotTheSame("torch pads both sides alike")
        x, pads = F.pad(x, _flat(pads), value=-math.inf), [(0, 0)] * len(kernel)
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.dim() - 3]
    both = function(
        x, kernel, strides, [p for p, _ in pads], dilations, bool(a.get("ceil_mode")), return_indices=a["outputs"] > 1
    )
    if a["outputs"] == 1:
        return both
    offset = torch.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * len(kernel)) * math.prod(x.shape[2:])
    return both[0], both[1] + offset  # ONNX counts over the whole tensor


def average_pool(a, x):
    kernel = a["kernel_shape"]
    strides, dilations, pads = _window(a, x, kernel)
    if any(d != 1 for d in dilations) or any(before != after for before, after in pads) or x.dim() > 5:
        raise NotTheSame("torch pads both sides alike and has no dilation here")
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.dim() - 3]
    return function(
        x, kernel, strides, [p for p, _ in pads], bool(a.get("ceil_mode")), bool(a.get("count_include_pad"))
    )


def lp_pool(a, x):
    kernel = a["kernel_shape"]
    strides, dilations, pads = _window(a, x, kernel)
    if any(d != 1 for d in dilations) or a.get("ceil_mode"):
        raise NotTheSame("torch has no dilation here")
    function = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[x.dim() - 3]
    return function(F.pad(x, _flat(pads)), a.get("p", 2), kernel, strides)


def max_unpool(a, x, at, shape=None):
    sizes = None if shape is None else whole(shape)
    kernel = a["kernel_shape"]
    return F.max_unpool2d(x, at % math.prod(sizes[2:]) if sizes else at, kernel, a.get("strides"), 0, sizes)


def fold(a, x, size, block):
    begin = a.get("pads", [0, 0, 0, 0])
    if len(whole(size)) != 2 or begin[:2] != begin[2:]:
        raise NotTheSame("torch folds images")
    return F.fold(x, whole(size), whole(block), a.get("dilations", 1), begin[:2], a.get("strides", 1))


# Normalisation.


def _channels(value, x):
    return value.reshape(-1, *[1] * (x.dim() - 2))


def batch_norm(a, x, scale, bias, mean, variance):
    if not a.get("training_mode"):
        return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, a.get("epsilon", 1e-5))
    raise NotTheSame("a file answers in eval mode")


def layer_norm(a, x, scale, bias=None):
    dims = x.shape[a.get("axis", -1) :]
    answers = torch.native_layer_norm(x, list(dims), scale.expand(dims), bias, a.get("epsilon", 1e-5))
    return answers[: a["outputs"]] if a["outputs"] > 1 else answers[0]


def group_norm(a, x, scale, bias):
    return F.group_norm(x, a["num_groups"], scale, bias, a.get("epsilon", 1e-5))


def lp_normalization(a, x):
    return F.normalize(x, a.get("p", 2), a.get("axis", -1), eps=0.0)


def mean_variance(a, x):
    dims = a.get("axes", [0, 2, 3])
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.square().mean(dims, keepdim=True).sqrt() + 1e-9)


# Recurrence.


def _reordered(value, order, gates):
    return torch.cat([value.chunk(gates)[at] for at in order])


def _recurrent(kind, order):
    def run(a, x, weight, recurrence, bias=None, lengths=None, *states):
        gates, hidden, batched, ways = len(order), a["hidden_size"], bool(a.get("layout")), weight.shape[0]
        if "clip" in a or lengths is not None or a.get("activations") or len(states) > 1 + (kind is torch.nn.LSTM):
            raise NotTheSame("torch has one kind of cell")
        if kind is torch.nn.GRU and not a.get("linear_before_reset"):
            raise NotTheSame("torch multiplies before it resets")
        cell = kind(weight.shape[2], hidden, batch_first=batched, bidirectional=ways == 2)
        values = {}
        for way, suffix in enumerate(("", "_reverse")[:ways]):
            both = (torch.zeros(2 * gates * hidden) if bias is None else bias[way]).chunk(2)
            parts = (weight[way], recurrence[way], *both)
            names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            values |= {name + suffix: _reordered(p, order, gates) for name, p in zip(names, parts, strict=True)}
        began = [s.transpose(0, 1) if batched else s for s in states]
        if kind is torch.nn.LSTM:
            began = [*began, torch.zeros_like(began[0])][:2] if began else None
        else:
            began = began[0] if began else None
        time = int(batched)
        backwards = a.get("direction") == "reverse"
        answer, ended = torch.func.functional_call(cell, values, (x.flip(time) if backwards else x, began))
        answer = answer.unflatten(-1, (ways, hidden))
        answer = answer.flip(time) if backwards else answer
        ended = list(ended) if isinstance(ended, tuple) else [ended]
        if batched:
            return answer, *(e.transpose(0, 1) for e in ended)
        return answer.transpose(1, 2), *ended

    return run


# Attention.


def attention(a, q, k, v, mask=None, past_k=None, past_v=None, lengths=None):
    if a.get("softcap") or lengths is not None or a.get("qk_matmul_output_mode") or a["outputs"] > 3:
        raise NotTheSame("scaled_dot_product_attention has no softcap and gives no scores")
    if a.get("softmax_precision") or "left_window_size" in a or "right_window_size" in a:
        raise NotTheSame("nor a window")
    flat = q.dim() == 3
    if flat:
        q = q.unflatten(-1, (a["q_num_heads"], -1)).transpose(1, 2)
        k, v = (t.unflatten(-1, (a["kv_num_heads"], -1)).transpose(1, 2) for t in (k, v))
    if past_k is not None:
        k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
    if a.get("is_causal") and (mask is not None or past_k is not None):
        seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(
            k.shape[2] - q.shape[2] if past_k is not None else 0
        )
        causal = torch.zeros(seen.shape, dtype=q.dtype).masked_fill(~seen, -math.inf)
        if mask is not None and mask.dtype is torch.bool:
            mask = torch.zeros(mask.shape, dtype=q.dtype).masked_fill(~mask, -math.inf)
        mask = causal if mask is None else mask + causal
    causal = bool(a.get("is_causal")) and mask is None
    if mask is not None and mask.shape[-1] < k.shape[2]:
        mask = F.pad(mask, (0, k.shape[2] - mask.shape[-1]), value=False if mask.dtype is torch.bool else -math.inf)
    answer = F.scaled_dot_product_attention(
        q, k, v, mask, is_causal=causal, scale=a.get("scale"), enable_gqa=q.shape[1] != k.shape[1]
    )
    answer = answer.transpose(1, 2).flatten(2) if flat else answer
    return (answer, k, v)[: a["outputs"]] if a["outputs"] > 1 else answer


def rotary(a, x, cosine, sine, at=None):
    flat = x.dim() == 3
    if flat:
        x = x.unflatten(-1, (a["num_heads"], -1)).transpose(1, 2)
    if at is not None:
        cosine, sine = cosine[at], sine[at]
    cosine, sine = cosine[:, None], sine[:, None]
    turned, rest = x[..., : a.get("rotary_embedding_dim") or x.shape[-1]], None
    if a.get("rotary_embedding_dim"):
        rest = x[..., a["rotary_embedding_dim"] :]
    if a.get("interleaved"):
        one, two = turned[..., 0::2], turned[..., 1::2]
        answer = torch.stack([one * cosine - two * sine, two * cosine + one * sine], -1).flatten(-2)
    else:
        one, two = turned.chunk(2, -1)
        answer = torch.cat([one * cosine - two * sine, two * cosine + one * sine], -1)
    answer = answer if rest is None else torch.cat([answer, rest], -1)
    return answer.transpose(1, 2).flatten(2) if flat else answer


# Images.

_TURNED = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest", "bilinear": "bilinear", "bicubic": "bicubic"}


def resize(a, x, roi=None, scales=None, sizes=None):
    mode, places = a.get("mode", "nearest"), a.get("coordinate_transformation_mode", "half_pixel")
    if (
        "axes" in a
        or x.dim() != 4
        or a.get("keep_aspect_ratio_policy", "stretch") != "stretch"
        or a.get("exclude_outside")
    ):
        raise NotTheSame("torch resizes all of an image")
    if mode == "nearest":
        if (places, a.get("nearest_mode", "round_prefer_floor")) != ("asymmetric", "floor"):
            raise NotTheSame("torch's nearest rounds down")
        options = {"mode": "nearest"}
    else:
        if places not in ("half_pixel", "align_corners", "pytorch_half_pixel"):
            raise NotTheSame(f"torch has no {places}")
        if mode == "cubic" and a.get("cubic_coeff_a", -0.75) != -0.75:
            raise NotTheSame("torch's cubic is -0.75")
        options = {
            "mode": _TURNED[mode],
            "align_corners": places == "align_corners",
            "antialias": bool(a.get("antialias")),
        }
    if sizes is not None and sizes.size:
        return F.interpolate(x, size=whole(sizes)[2:], **options)
    return F.interpolate(x, scale_factor=whole(scales)[2:], recompute_scale_factor=False, **options)


def grid_sample(a, x, grid):
    mode = _TURNED[a.get("mode", "linear")]
    return F.grid_sample(x, grid, mode, a.get("padding_mode", "zeros"), bool(a.get("align_corners")))


# Losses.


def nll(a, scores, target, weight=None):
    return F.nll_loss(
        scores, target.long(), weight, ignore_index=a.get("ignore_index", -100), reduction=a.get("reduction", "mean")
    )


def cross_entropy(a, scores, target, weight=None):
    loss = nll(a, F.log_softmax(scores, 1), target, weight)
    return loss if a["outputs"] == 1 else (loss, F.log_softmax(scores, 1))


LAYERS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "LpPool": lp_pool,
    "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.dim())), keepdim=True),
    "GlobalMaxPool": lambda a, x: x.amax(tuple(range(2, x.dim())), keepdim=True),
    "MaxUnpool": max_unpool,
    "Col2Im": fold,
    "BatchNormalization": batch_norm,
    "InstanceNormalization": lambda a, x, scale, bias: F.instance_norm(
        x, weight=scale, bias=bias, eps=a.get("epsilon", 1e-5)
    ),
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": lambda a, x, scale: (
        F.rms_norm(x, x.shape[a.get("axis", -1) :], eps=a.get("epsilon", 1e-5)) * scale
    ),
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance,
    "LRN": lambda a, x: F.local_response_norm(
        x, a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0)
    ),
    "RNN": _recurrent(torch.nn.RNN, (0,)),
    "GRU": _recurrent(torch.nn.GRU, (1, 0, 2)),
    "LSTM": _recurrent(torch.nn.LSTM, (0, 2, 3, 1)),
    "Attention": attention,
    "RotaryEmbedding": rotary,
    "Resize": resize,
    "GridSample": grid_sample,
    "AffineGrid": lambda a, theta, size: F.affine_grid(theta, whole(size), bool(a.get("align_corners"))),
    "NegativeLogLikelihoodLoss": nll,
    "SoftmaxCrossEntropyLoss": cross_entropy,
}
