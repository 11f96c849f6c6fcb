"""ONNX's operators on single numbers, sums and shapes, in PyTorch: ``function(attributes, *inputs) -> answers``.

Inputs whose position stands in ``FIXED`` are known when the model is built (axes, shapes); they are no inputs of it.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.nn import functional as F

_FIXED_AT = {
    (1,): "Reshape Expand Tile Unsqueeze Squeeze Split TopK CumSum CumProd OneHot Trilu Compress Dropout CenterCropPad "
    "AffineGrid ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceSumSquare",
    (2,): "MaxUnpool",
    (1, 2, 3): "Pad",
    (1, 2, 3, 4): "Slice Resize Col2Im DFT",
    (0, 1, 2): "ConstantOfShape Range",
}
FIXED = {name: set(places) for places, names in _FIXED_AT.items() for name in names.split()}


class NotTheSame(Exception):
    """PyTorch has nothing that is this operator with these attributes."""


def dtype_of(kind: int) -> torch.dtype:
    """Torch's dtype for one of ONNX's."""
    name = onnx.TensorProto.DataType.Name(kind).lower()
    known = {"float": "float32", "double": "float64", "float8e4m3fn": "float8_e4m3fn", "float8e5m2": "float8_e5m2"}
    known |= {"float8e4m3fnuz": "float8_e4m3fnuz", "float8e5m2fnuz": "float8_e5m2fnuz"}
    found = getattr(torch, known.get(name, name), None)
    if not isinstance(found, torch.dtype):
        raise NotTheSame(f"torch has no {name}")
    return found


def constant(a):
    if "value" in a:
        return a["value"]
    kind, value = next((name, value) for name, value in a.items() if name.startswith("value"))
    return torch.tensor(value, dtype=torch.int64 if "int" in kind else torch.float32)


def whole(value: np.ndarray | None) -> list[int] | None:
    return None if value is None else value.reshape(-1).tolist()


# Reductions.


def reduction(function):
    def reduce(a, x, axes=None):
        dims = whole(axes) if axes is not None else a.get("axes")
        if not dims and a.get("noop_with_empty_axes"):
            return function(x[..., None], (x.dim(),), False)  # over one number
        dims = tuple(range(x.dim())) if not dims else tuple(d % x.dim() for d in dims)
        return function(x, dims, bool(a.get("keepdims", 1)))

    return reduce


def _product(x, dims, keep):
    for dim in sorted(dims, reverse=True):
        x = x.prod(dim, keepdim=keep, dtype=x.dtype)
    return x


def _extreme(name):
    def reduce(x, dims, keep):
        if x.dtype is torch.bool:
            return (torch.amax if name == "amax" else torch.amin)(x.to(torch.uint8), dims, keep).bool()
        return getattr(torch, name)(x, dims, keep)

    return reduce


def _sum(x, dims, keep):
    return x.sum(dims, keepdim=keep, dtype=x.dtype)


def arg(function):
    def found(a, x):
        if a.get("select_last_index", 0):
            dim = a.get("axis", 0) % x.dim()
            last = x.shape[dim] - 1 - function(x.flip(dim), dim, keepdim=True)
            return last if a.get("keepdims", 1) else last.squeeze(dim)
        return function(x, a.get("axis", 0), keepdim=bool(a.get("keepdims", 1)))

    return found


def cumulative(function):
    def run(a, x, axis):
        dim = int(axis)
        if a.get("reverse"):
            x = x.flip(dim)
        answer = function(x, dim, dtype=x.dtype)
        if a.get("exclusive"):
            first = torch.full_like(answer.narrow(dim, 0, 1), 1 if function is torch.cumprod else 0)
            answer = torch.cat([first, answer.narrow(dim, 0, x.shape[dim] - 1)], dim)
        return answer.flip(dim) if a.get("reverse") else answer

    return run


# Shapes.


def reshape(a, x, shape):
    sizes = whole(shape)
    if not a.get("allowzero"):
        sizes = [x.shape[at] if size == 0 else size for at, size in enumerate(sizes)]
    return x.reshape(sizes)


def flatten(a, x):
    axis = a.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def squeeze(a, x, axes=None):
    dims = whole(axes) if axes is not None else a.get("axes")
    return x.squeeze() if dims is None else x.squeeze(tuple(dims))


def unsqueeze(a, x, axes=None):
    dims = whole(axes) if axes is not None else a["axes"]
    rank = x.dim() + len(dims)
    for dim in sorted(d % rank for d in dims):
        x = x.unsqueeze(dim)
    return x


def expand(a, x, shape):
    return x.expand(torch.broadcast_shapes(tuple(x.shape), tuple(whole(shape))))


def split(a, x, sizes=None):
    dim = a.get("axis", 0)
    if sizes is not None:
        return tuple(x.split(whole(sizes), dim))
    if "split" in a:
        return tuple(x.split(list(a["split"]), dim))
    each = -(-x.shape[dim] // a.get("num_outputs", a["outputs"]))
    return tuple(x.split(each, dim))


def slices(a, x, starts=None, ends=None, axes=None, steps=None):
    starts = whole(starts) if starts is not None else a["starts"]
    ends = whole(ends) if ends is not None else a["ends"]
    dims = whole(axes) if axes is not None else a.get("axes", list(range(len(starts))))
    for dim, start, end, step in zip(dims, starts, ends, whole(steps) or [1] * len(dims), strict=True):
        if step > 0:
            at = [slice(None)] * x.dim()
            at[dim] = slice(start, end, step)
            x = x[tuple(at)]
        else:
            x = x.index_select(
                dim, torch.arange(x.shape[dim])[torch.tensor(_positions(x.shape[dim], start, end, step))]
            )
    return x


def _positions(size, start, end, step):
    return list(range(size))[start if start >= -size else 0 : None if end < -size else end : step]


def pad(a, x, pads=None, value=None, axes=None):
    mode = a.get("mode", "constant")
    amounts = whole(pads) if pads is not None else a["pads"]
    dims = [d % x.dim() for d in whole(axes)] if axes is not None else list(range(x.dim()))
    before, after = [0] * x.dim(), [0] * x.dim()
    for at, dim in enumerate(dims):
        before[dim], after[dim] = amounts[at], amounts[at + len(dims)]
    if mode == "constant":
        pairs = [n for dim in reversed(range(x.dim())) for n in (before[dim], after[dim])]
        fill = a.get("value", 0) if value is None or not value.size else value.item()
        return F.pad(x, pairs, value=fill)
    for dim in range(x.dim()):
        if before[dim] or after[dim]:
            numpys = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}[mode]
            at = np.pad(np.arange(x.shape[dim]), (before[dim], after[dim]), mode=numpys)
            x = x.index_select(dim, torch.from_numpy(at))
    return x


def depth_to_space(a, x):
    n, c, h, w = x.shape
    b = a["blocksize"]
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    return x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)


def space_to_depth(a, x):
    if a.get("mode", "DCR") != "DCR":
        return F.pixel_unshuffle(x, a["blocksize"])
    n, c, h, w = x.shape
    b = a["blocksize"]
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)


def center_crop_pad(a, x, shape):
    sizes = whole(shape)
    for dim, size in zip(a.get("axes", range(x.dim())), sizes, strict=True):
        over = x.shape[dim] - size
        if over > 0:
            x = x.narrow(dim, over // 2, size)
        elif over < 0:
            amounts = [0, 0] * x.dim()
            at = 2 * (x.dim() - 1 - dim % x.dim())
            amounts[at], amounts[at + 1] = -over // 2, -over - -over // 2
            x = F.pad(x, amounts)
    return x


# Looking up and writing.


def gather(a, x, at):
    dim = a.get("axis", 0) % x.dim()
    rows = x.index_select(dim, torch.where(at < 0, at + x.shape[dim], at).reshape(-1))
    return rows.reshape((*x.shape[:dim], *at.shape, *x.shape[dim + 1 :]))


def gather_elements(a, x, at):
    dim = a.get("axis", 0)
    return x.gather(dim, torch.where(at < 0, at + x.shape[dim], at).long())


def gather_nd(a, x, at):
    if batch := a.get("batch_dims", 0):
        flat, where = x.flatten(0, batch - 1), at.flatten(0, batch - 1)
        rows = torch.arange(len(flat)).reshape(-1, *[1] * (where.dim() - 2)).expand(where.shape[:-1])
        return flat[(rows, *where.unbind(-1))].unflatten(0, x.shape[:batch])
    return x[tuple(at.unbind(-1))]


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def scatter_elements(a, x, at, updates):
    dim = a.get("axis", 0)
    at = torch.where(at < 0, at + x.shape[dim], at).long()
    if (how := a.get("reduction", "none")) == "none":
        return x.scatter(dim, at, updates)
    return x.scatter_reduce(dim, at, updates, _REDUCTIONS[how])


def scatter_nd(a, x, at, updates):
    how = a.get("reduction", "none")
    if how == "none":
        return x.index_put(tuple(at.unbind(-1)), updates)
    if how == "add":
        return x.index_put(tuple(at.unbind(-1)), updates, accumulate=True)
    if at.shape[-1] != 1 or at.dim() != 2:
        raise NotTheSame("index_put only adds")
    rows = at.reshape(-1, *[1] * (x.dim() - 1)).expand(updates.shape)
    return x.scatter_reduce(0, rows, updates, _REDUCTIONS[how])


def one_hot(a, at, depth, values):
    size, dim = int(depth), a.get("axis", -1)
    at = at.long()
    hot = torch.where(at < 0, at + size, at).unsqueeze(dim if dim >= 0 else at.dim() + 1 + dim)
    shape = [1] * hot.dim()
    shape[dim] = size
    return torch.where(hot == torch.arange(size).reshape(shape), values[1], values[0])


def compress(a, x, condition):
    at = torch.from_numpy(np.flatnonzero(condition))
    return x.reshape(-1)[at] if "axis" not in a else x.index_select(a["axis"], at)


def top_k(a, x, count):
    if not a.get("sorted", 1):
        raise NotTheSame("in any order")
    found = x.topk(count.item(), a.get("axis", -1), bool(a.get("largest", 1)))
    return found.values, found.indices


# Numbers.


def divide(a, x, y):
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def power(a, x, y):
    return torch.pow(x, y).to(x.dtype)


def shift(a, x, by):
    return x << by if a["direction"] == "LEFT" else x >> by


def clip(a, x, least=None, most=None):
    least = a.get("min") if least is None else least
    most = a.get("max") if most is None else most
    if isinstance(least, Tensor):
        x = torch.maximum(x, least)
    elif least is not None:
        x = x.clamp(min=least)
    if isinstance(most, Tensor):
        return torch.minimum(x, most)
    return x if most is None else x.clamp(max=most)


def is_infinite(a, x):
    found = x.isinf()
    if not a.get("detect_positive", 1):
        found = found & (x < 0)
    return found if a.get("detect_negative", 1) else found & (x > 0)


def every(function):
    def run(a, *inputs):
        answer = inputs[0]
        for each in inputs[1:]:
            answer = function(answer, each)
        return answer

    return run


def cast(a, x):
    return _cast(a, x, dtype_of(a["to"]))


def _cast(a, x, dtype):
    if dtype.is_floating_point and dtype.itemsize == 1 and a.get("saturate", 1):
        most = torch.finfo(dtype).max
        x = x.clamp(-most, most)
    return x.to(dtype)


def quantize(a, x, scale, zero=None):
    dim = a.get("axis", 1)
    if a.get("block_size") or scale.dim() > 1:
        raise NotTheSame("in blocks")
    kind = zero.dtype if zero is not None else dtype_of(a.get("output_dtype") or onnx.TensorProto.UINT8)
    if kind not in (torch.int8, torch.uint8):
        raise NotTheSame(f"to {kind}")
    scale, zero = _along(x, scale, dim), 0 if zero is None else _along(x, zero.to(x.dtype), dim)
    limits = torch.iinfo(kind)
    return (torch.round(x / scale) + zero).clamp(limits.min, limits.max).to(kind)


def dequantize(a, x, scale, zero=None):
    if a.get("block_size") or scale.dim() > 1 or x.dtype not in (torch.int8, torch.uint8, torch.int32):
        raise NotTheSame(f"from {x.dtype}")
    dim = a.get("axis", 1)
    moved = x.to(scale.dtype) - (0 if zero is None else _along(x, zero.to(scale.dtype), dim))
    return moved * _along(x, scale, dim)


def quantize_now(a, x):
    least, most = x.amin().clamp(max=0), x.amax().clamp(min=0)
    scale = (most - least) / 255
    zero = torch.round((-least / scale).clamp(0, 255))
    return (torch.round(x / scale) + zero).clamp(0, 255).to(torch.uint8), scale, zero.to(torch.uint8)


def fourier(a, x, length=None, axis=None):
    dim = int(axis) if axis is not None else a.get("axis", 1 if "axis" in a else -2)
    dim = dim % x.dim()
    size = None if length is None else int(length)
    inverse, half = a.get("inverse"), a.get("onesided")
    if x.shape[-1] == 1 and not inverse:
        numbers = torch.fft.rfft(x[..., 0], size, dim) if half else torch.fft.fft(x[..., 0], size, dim)
    elif x.shape[-1] == 2 and not half:
        numbers = (torch.fft.ifft if inverse else torch.fft.fft)(torch.view_as_complex(x.contiguous()), size, dim)
    else:
        raise NotTheSame("half of complex numbers")
    return torch.view_as_real(numbers)


def _along(x, value, dim):
    return value if value.numel() == 1 else value.reshape([-1 if at == dim % x.dim() else 1 for at in range(x.dim())])


def unary(function):
    return lambda a, x: function(x)


def binary(function):
    return lambda a, x, y: function(x, y)


_NAMED = (
    "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Floor Log Neg Reciprocal Relu Round Sigmoid Sign Sin "
    "Sinh Sqrt Tan Tanh"
)
_BINARY = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "And": torch.logical_and, "Or": torch.logical_or,
    "Xor": torch.logical_xor, "Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge, "Less": torch.lt,
    "LessOrEqual": torch.le, "BitwiseAnd": torch.bitwise_and, "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor, "MatMul": torch.matmul,
}  # fmt: skip
OPERATORS = {
    "Constant": constant,
    **{name: unary(getattr(torch, name.lower())) for name in _NAMED.split()},
    **{name: binary(function) for name, function in _BINARY.items()},
    "Identity": lambda a, x: x,
    "Not": unary(torch.logical_not),
    "BitwiseNot": unary(torch.bitwise_not),
    "IsNaN": unary(torch.isnan),
    "IsInf": is_infinite,
    "HardSwish": unary(F.hardswish),
    "Mish": unary(F.mish),
    "Softplus": unary(F.softplus),
    "Softsign": unary(F.softsign),
    "Celu": lambda a, x: F.celu(x, a.get("alpha", 1.0)),
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Selu": lambda a, x: a.get("gamma", 1.0507009873554805) * F.elu(x, a.get("alpha", 1.6732632423543772)),
    "HardSigmoid": lambda a, x: (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1),
    "ThresholdedRelu": lambda a, x: F.threshold(x, a.get("alpha", 1.0), 0.0),
    "Shrink": lambda a, x: torch.where(
        x < -a.get("lambd", 0.5),
        x + a.get("bias", 0.0),
        torch.where(x > a.get("lambd", 0.5), x - a.get("bias", 0.0), torch.zeros_like(x)),
    ),
    "Gelu": lambda a, x: F.gelu(x, approximate=a.get("approximate", "none")),
    "Swish": lambda a, x: x * torch.sigmoid(a.get("alpha", 1.0) * x),
    "SwiGLU": lambda a, x, gate: x * torch.sigmoid(a.get("alpha", 1.0) * x) * gate,
    "PRelu": lambda a, x, slope: torch.where(x < 0, slope * x, x),
    "Clip": clip,
    "Div": divide,
    "Mod": lambda a, x, y: (torch.fmod if a.get("fmod") else torch.remainder)(x, y),
    "Pow": power,
    "BitShift": shift,
    "BitCast": lambda a, x: x.view(dtype_of(a["to"])),
    "DFT": fourier,
    "DynamicQuantizeLinear": quantize_now,
    "Binarizer": lambda a, x: (x > a.get("threshold", 0.0)).to(x.dtype),
    "Max": every(torch.maximum),
    "Min": every(torch.minimum),
    "Sum": every(torch.add),
    "Mean": lambda a, *inputs: every(torch.add)(a, *inputs) / len(inputs),
    "Where": lambda a, condition, x, y: torch.where(condition, x, y),
    "Cast": cast,
    "CastLike": lambda a, x, like: _cast(a, x, like.dtype),
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "ReduceSum": reduction(_sum),
    "ReduceMean": reduction(lambda x, dims, keep: x.mean(dims, keepdim=keep)),
    "ReduceMax": reduction(_extreme("amax")),
    "ReduceMin": reduction(_extreme("amin")),
    "ReduceProd": reduction(_product),
    "ReduceL1": reduction(lambda x, dims, keep: _sum(x.abs(), dims, keep)),
    "ReduceL2": reduction(lambda x, dims, keep: _sum(x * x, dims, keep).sqrt()),
    "ReduceLogSum": reduction(lambda x, dims, keep: _sum(x, dims, keep).log()),
    "ReduceLogSumExp": reduction(torch.logsumexp),
    "ReduceSumSquare": reduction(lambda x, dims, keep: _sum(x * x, dims, keep)),
    "ArgMax": arg(torch.argmax),
    "ArgMin": arg(torch.argmin),
    "CumSum": cumulative(torch.cumsum),
    "CumProd": cumulative(torch.cumprod),
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", -1)),
    "LogSoftmax": lambda a, x: torch.log_softmax(x, a.get("axis", -1)),
    "Hardmax": lambda a, x: torch.zeros_like(x).scatter(
        a.get("axis", -1), x.argmax(a.get("axis", -1), keepdim=True), 1.0
    ),
    "TopK": top_k,
    "Reshape": reshape,
    "Flatten": flatten,
    "Transpose": lambda a, x: x.permute(a.get("perm", list(reversed(range(x.dim()))))),
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Expand": expand,
    "Tile": lambda a, x, times: x.repeat(whole(times)),
    "Concat": lambda a, *inputs: torch.cat(inputs, a["axis"]),
    "Split": split,
    "Slice": slices,
    "Pad": pad,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "CenterCropPad": center_crop_pad,
    "Shape": lambda a, x: torch.tensor(list(x.shape)[a.get("start", 0) : a.get("end")], dtype=torch.int64),
    "Size": lambda a, x: torch.tensor(x.numel()),
    "Trilu": lambda a, x, k=None: (torch.triu if a.get("upper", 1) else torch.tril)(x, 0 if k is None else int(k)),
    "ConstantOfShape": lambda a, shape: torch.full(whole(shape), a["value"].item() if "value" in a else 0.0).to(
        a["value"].dtype if "value" in a else torch.float32
    ),
    "Range": lambda a, start, end, step: torch.from_numpy(np.arange(start, end, step).astype(start.dtype)),
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterElements": scatter_elements,
    "Scatter": scatter_elements,
    "ScatterND": scatter_nd,
    "OneHot": one_hot,
    "Compress": compress,
    "NonZero": lambda a, x: torch.nonzero(x).T,
    "Gemm": lambda a, x, y, c=0: (
        a.get("alpha", 1.0) * (x.T if a.get("transA") else x) @ (y.T if a.get("transB") else y) + a.get("beta", 1.0) * c
    ),
    "Einsum": lambda a, *inputs: torch.einsum(a["equation"], *inputs),
    "Det": unary(torch.linalg.det),
    "Dropout": lambda a, x, *_: (x, torch.ones_like(x, dtype=torch.bool))[: a["outputs"]],
}
