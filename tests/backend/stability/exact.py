"""Tensors of numbers with many digits: a function written for torch, called with them, is its own reference.

``Exact`` answers torch's functions and methods with mpmath's, element by element, so that what a test compares with
is the expression as its user wrote it, and nothing that Tessera knows of.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import torch

BITS = 4200  # exp(1000) beside exp(-1000) takes 2900 of them
STEP = mpmath.ldexp(1, -600)  # of the difference that stands for a derivative


class Exact:
    """An array of mpmath numbers that torch's functions take for a tensor."""

    def __init__(self, data: Any) -> None:
        self.data = data

    @classmethod
    def __torch_function__(cls, function, _types, args=(), kwargs=None):
        return _call(function.__name__, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim"):
            return getattr(self.data, name)
        if name == "values":  # of a maximum
            return self
        if name == "T":
            return Exact(self.data.T)
        return lambda *args, **kwargs: _call(name, self, *args, **kwargs)

    def __getitem__(self, index: Any) -> Exact:
        index = index if isinstance(index, tuple) else (index,)
        return _wrapped(self.data[tuple(i.numpy() if isinstance(i, torch.Tensor) else i for i in index)])


def exact(tensor: torch.Tensor) -> Any:
    """A tensor's values as they are; integers and truth values stay a tensor."""
    if not tensor.is_floating_point():
        return tensor
    return _wrapped(_array(tensor))


def derivative(function: Callable[..., Any], inputs: Sequence[Any], which: int, weights: Any) -> Any:
    """The gradient of the weighted sum of what ``function`` returns, as an array."""
    base = inputs[which].data
    found = np.empty(base.shape, dtype=object)
    for at in itertools.product(*map(range, base.shape)):
        sums = []
        for step in (STEP, -STEP):
            moved = base.copy()
            moved[at] = moved[at] + step
            returned = function(*(Exact(moved) if i == which else one for i, one in enumerate(inputs)))
            sums.append(np.sum(returned.data * np.vectorize(mpmath.mpf, otypes=[object])(weights)))
        found[at] = (sums[0] - sums[1]) / (2 * STEP)
    return found


def _call(name: str, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("dtype", None)
    kwargs.pop("_stacklevel", None)
    for unused in ("weight", "size_average", "reduce", "ignore_index", "out", "inplace"):
        kwargs.pop(unused, None)
    if "axis" in kwargs:
        kwargs["dim"] = kwargs.pop("axis")
    if name in _KEPT:
        return args[0]
    if name.endswith("_") and not name.endswith("__"):
        args[0].data = _call(name[:-1], *args, **kwargs).data
        return args[0]
    if name.startswith("__i"):
        args[0].data = _call(name.removeprefix("__i").removesuffix("__"), *args).data
        return args[0]
    name = name.removeprefix("special_").removeprefix("linalg_").removeprefix("_special_")
    if name.startswith("__r") and name != "__round__":
        name, args = name.removeprefix("__r").removesuffix("__"), args[::-1]
    name = name.removeprefix("__").removesuffix("__")
    name = _SAME.get(name, name)
    if name in _EACH:
        function = _EACH[name]
        if name in ("add", "sub") and (alpha := kwargs.pop("alpha", None)) is not None:
            args = (args[0], _call("mul", args[1], alpha))
        assert not kwargs, (name, kwargs)
        vector = np.frompyfunc(lambda *v: function(*map(_number, v)), _arity(function), 1)
        return _wrapped(vector(*map(_array, args)))
    return _WHOLE[name](*args, **kwargs)


def _arity(function: Callable[..., Any]) -> int:
    parameters = inspect.signature(function).parameters.values()
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)


def _number(value: Any) -> mpmath.mpf:
    return value if isinstance(value, mpmath.mpf) else mpmath.mpf(float(value))


def _array(value: Any) -> Any:
    if isinstance(value, Exact):
        return value.data
    if not isinstance(value, torch.Tensor):
        return value
    if not value.is_floating_point():
        return value.numpy()
    made = np.empty(tuple(value.shape), dtype=object)
    for at in itertools.product(*map(range, value.shape)):
        made[at] = mpmath.mpf(value[at].item())
    return made


def _wrapped(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return Exact(value) if value.dtype == object else torch.as_tensor(value)
    made = np.empty((), dtype=object)
    made[()] = value
    return Exact(made)


def _log(x):
    if x == 0:
        return -mpmath.inf
    return mpmath.log(x) if x > 0 else mpmath.nan


def _divided(x, y):
    if y != 0:
        return x / y
    return mpmath.nan if x == 0 or mpmath.isnan(x) else mpmath.inf * mpmath.sign(x)


def _power(x, y):
    if x == 0 and y < 0:
        return mpmath.inf
    return mpmath.power(x, y) if x >= 0 or mpmath.isint(y) else mpmath.nan


def _root(x):
    return mpmath.sqrt(x) if x >= 0 else mpmath.nan


def _xlogy(x, y):
    return mpmath.mpf(0) if x == 0 else x * _log(y)


def _rank_and_dims(data: Any, dim: Any) -> Any:
    if dim is None or dim == ():
        return None
    return tuple(dim) if isinstance(dim, list | tuple) else dim


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(x, dim=None, keepdim=False):
        return _wrapped(function(_array(x), axis=_rank_and_dims(x, dim), keepdims=keepdim))

    return reduce


def _mean(data, axis, keepdims):
    total = np.sum(data, axis=axis, keepdims=keepdims)
    count = data.size // max(1, np.size(total))
    return total / mpmath.mpf(count)


def _exponentials(x, dim):
    x = _array(x)
    each = np.frompyfunc(mpmath.exp, 1, 1)(x)
    return each, np.sum(each, axis=dim, keepdims=True)


def _softmax(x, dim=None, *_):
    each, total = _exponentials(x, dim)
    return _wrapped(np.frompyfunc(_divided, 2, 1)(each, total))


def _determinant(x):
    data = _array(x)
    if data.ndim > 2:
        flat = [_determinant(Exact(one)).data[()] for one in data.reshape(-1, *data.shape[-2:])]
        made = np.empty(len(flat), dtype=object)
        made[:] = flat
        return Exact(made.reshape(data.shape[:-2]))
    return _wrapped(mpmath.det(mpmath.matrix(data.tolist())))


def _where(condition, x, y):
    condition = condition.numpy() if isinstance(condition, torch.Tensor) else condition
    x, y = (_number(v) if isinstance(v, int | float) else _array(v) for v in (x, y))
    return _wrapped(np.where(condition, x, y).astype(object))


def _clamp(x, min=None, max=None):
    data = _array(x)
    if min is not None:
        data = np.frompyfunc(lambda v: v if v >= min else mpmath.mpf(min), 1, 1)(data)
    if max is not None:
        data = np.frompyfunc(lambda v: v if v <= max else mpmath.mpf(max), 1, 1)(data)
    return _wrapped(data)


def _norm(x, p=2, dim=None, keepdim=False, **_):
    total = np.sum(_array(x) * _array(x), axis=_rank_and_dims(x, dim), keepdims=keepdim)
    return _call("sqrt", _wrapped(total))


def _variance(x, dim=None, correction=1, keepdim=False, unbiased=None, **_):
    correction = correction if unbiased is None else int(unbiased)
    data, axis = _array(x), _rank_and_dims(x, dim)
    mean = _mean(data, axis, True)
    total = np.sum((data - mean) ** 2, axis=axis, keepdims=keepdim)
    return _wrapped(total / mpmath.mpf(data.size // max(1, np.size(total)) - correction))


def _binary_cross_entropy(p, y, **kwargs):
    each = -(y * _call("log", p) + (1 - y) * _call("log", 1 - p))
    return each if kwargs.get("reduction") == "none" else _call(kwargs.get("reduction", "mean"), each)


def _nll(log_p, y, reduction="mean"):
    each = Exact(-log_p.data[np.arange(len(y)), y.numpy()])
    return each if reduction == "none" else _call(reduction, each)


def _kl(log_p, q, reduction="mean", log_target=False):
    each = _call("exp", q) * (q - log_p) if log_target else _call("xlogy", q, q) - q * log_p
    if reduction == "batchmean":
        return _call("sum", each) / log_p.shape[0]
    return each if reduction == "none" else _call(reduction, each)


def _einsum(spelled, *operands):
    letters, left = spelled.replace(" ", "").split("->")
    every = sorted({*letters} - {","})
    product = mpmath.mpf(1)
    for one, operand in zip(letters.split(","), operands, strict=True):
        data = np.transpose(_array(operand), np.argsort(list(one)))
        product = product * np.expand_dims(data, [at for at, letter in enumerate(every) if letter not in one])
    total = np.sum(product, axis=tuple(at for at, letter in enumerate(every) if letter not in left))
    return _wrapped(np.transpose(total, np.argsort(np.argsort(list(left)))) if left else total)


def _index_add(x, dim, index, source):
    assert dim == 0
    total = _array(x).copy()
    for at, one in zip(index.tolist(), _array(source), strict=True):
        total[at] = total[at] + one
    return _wrapped(total)


def _gather(x, dim, index):
    return _wrapped(np.take_along_axis(_array(x), index.numpy(), dim))


def _viewed(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *args: _wrapped(function(_array(x), *args))


def _shape(args):
    return args[0] if len(args) == 1 and isinstance(args[0], list | tuple) else args


_KEPT = ("contiguous", "float", "double", "to", "detach", "requires_grad")
_SAME = {
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "truediv": "div",
    "negative": "neg",
    "absolute": "abs",
    "expit": "sigmoid",
    "float_power": "pow",
    "max": "amax",
    "clip": "clamp",
    "inner": "dot",
    "mm": "matmul",
    "min": "amin",
    "vecdot": "dot",
    "vector_norm": "norm",
    "special_softmax": "softmax",
    "arctanh": "atanh",
}
_EACH: dict[str, Callable[..., Any]] = {
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.power(2, x),
    "expm1": lambda x: mpmath.exp(x) - 1,
    "log": _log,
    "log2": lambda x: _log(x) / mpmath.log(2),
    "log10": lambda x: _log(x) / mpmath.log(10),
    "log1p": lambda x: _log(1 + x),
    "sqrt": _root,
    "rsqrt": lambda x: _divided(mpmath.mpf(1), _root(x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "logsigmoid": lambda x: -mpmath.log(1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "ndtr": lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "i0": lambda x: mpmath.besseli(0, x),
    "acosh": mpmath.acosh,
    "acos": mpmath.acos,
    "lgamma": mpmath.loggamma,
    "sign": mpmath.sign,
    "abs": abs,
    "neg": lambda x: -x,
    "square": lambda x: x * x,
    "reciprocal": lambda x: _divided(mpmath.mpf(1), x),
    "relu": lambda x: x if x > 0 else mpmath.mpf(0),
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "rsub": lambda x, y: y - x,
    "mul": lambda x, y: x * y,
    "div": _divided,
    "pow": _power,
    "maximum": lambda x, y: max(y, x),
    "minimum": lambda x, y: min(y, x),
    "xlogy": _xlogy,
    "entr": lambda x: -_xlogy(x, x),
    "logaddexp": lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
    "hypot": lambda x, y: mpmath.sqrt(x * x + y * y),
    "atanh": mpmath.atanh,
    "lerp": lambda x, y, w: x + w * (y - x),
    "addcmul": lambda x, y, z: x + y * z,
}
_WHOLE: dict[str, Callable[..., Any]] = {
    "sum": _reduced(np.sum),
    "clone": lambda x: Exact(x.data.copy()),
    "nansum": _reduced(np.sum),
    "prod": _reduced(np.prod),
    "amax": _reduced(np.max),
    "amin": _reduced(np.min),
    "mean": _reduced(_mean),
    "cumsum": lambda x, dim: _wrapped(np.cumsum(_array(x), axis=dim)),
    "cumprod": lambda x, dim: _wrapped(np.cumprod(_array(x), axis=dim)),
    "elu": lambda x, alpha=1.0: _wrapped(
        np.frompyfunc(lambda v: v if v > 0 else alpha * (mpmath.exp(v) - 1), 1, 1)(_array(x))
    ),
    "roll": lambda x, shift, dim: _wrapped(np.roll(_array(x), shift, axis=dim)),
    "softmax": _softmax,
    "softmin": lambda x, dim, *_: _softmax(Exact(-x.data), dim),
    "log_softmax": lambda x, dim, *_: _call("log", _softmax(x, dim)),
    "logsumexp": lambda x, dim, keepdim=False: _call("log", _call("sum", _call("exp", x), dim=dim, keepdim=keepdim)),
    "det": _determinant,
    "where": _where,
    "masked_fill": lambda x, mask, value: _where(mask, value, x),
    "clamp": _clamp,
    "clamp_min": lambda x, least: _clamp(x, min=least),
    "norm": _norm,
    "var": _variance,
    "binary_cross_entropy": _binary_cross_entropy,
    "nll_loss": _nll,
    "kl_div": _kl,
    "gather": _gather,
    "index_add": _index_add,
    "softplus": lambda x: _call("log", 1 + _call("exp", x)),
    "dot": lambda x, y: _wrapped(np.sum(_array(x) * _array(y), axis=-1)),
    "matmul": lambda x, y: _wrapped(np.dot(_array(x), _array(y))),
    "einsum": _einsum,
    "chunk": lambda x, count, dim=0: [_wrapped(one) for one in np.split(_array(x), count, axis=dim)],
    "unbind": lambda x, dim=0: [_wrapped(one) for one in np.moveaxis(_array(x), dim, 0)],
    "flip": lambda x, *dims: _wrapped(np.flip(_array(x), _shape(dims))),
    "diagonal": lambda x: _wrapped(np.diagonal(_array(x))),
    "cross_entropy": lambda x, y, reduction="mean", **_: _nll(_call("log_softmax", x, 1), y, reduction),
    "binary_cross_entropy_with_logits": lambda x, y, **kwargs: _binary_cross_entropy(_call("sigmoid", x), y, **kwargs),
    "view": lambda x, *shape: _wrapped(_array(x).reshape(_shape(shape))),
    "reshape": lambda x, *shape: _wrapped(_array(x).reshape(_shape(shape))),
    "flatten": lambda x: _wrapped(_array(x).reshape(-1)),
    "unsqueeze": _viewed(np.expand_dims),
    "squeeze": _viewed(np.squeeze),
    "transpose": lambda x, a, b: _wrapped(np.swapaxes(_array(x), a, b)),
    "t": _viewed(np.transpose),
    "permute": lambda x, *order: _wrapped(np.transpose(_array(x), _shape(order))),
    "expand_as": lambda x, other: _wrapped(np.broadcast_to(_array(x), other.shape).astype(object)),
    "index_select": lambda x, dim, index: _wrapped(np.take(_array(x), index.numpy(), axis=dim)),
    "select": lambda x, dim, index: _wrapped(np.take(_array(x), index, axis=dim)),
    "ones_like": lambda x: torch.ones(x.shape, dtype=torch.float64),
    "zeros_like": lambda x: torch.zeros(x.shape, dtype=torch.float64),
    "full_like": lambda x, value: torch.full(x.shape, value, dtype=torch.float64),
    "size": lambda x, dim=None: x.data.shape if dim is None else x.data.shape[dim],
    "numel": lambda x: x.data.size,
    "dim": lambda x: x.data.ndim,
    "stack": lambda xs, dim=0: _wrapped(np.stack([_array(x) for x in xs], axis=dim)),
    "cat": lambda xs, dim=0: _wrapped(np.concatenate([_array(x) for x in xs], axis=dim)),
    "gt": lambda x, y: torch.as_tensor(np.greater(_array(x), _array(y)).astype(bool)),
    "lt": lambda x, y: torch.as_tensor(np.less(_array(x), _array(y)).astype(bool)),
    "ge": lambda x, y: torch.as_tensor(np.greater_equal(_array(x), _array(y)).astype(bool)),
    "le": lambda x, y: torch.as_tensor(np.less_equal(_array(x), _array(y)).astype(bool)),
    "eq": lambda x, y: torch.as_tensor(np.equal(_array(x), _array(y)).astype(bool)),
    "ne": lambda x, y: torch.as_tensor(np.not_equal(_array(x), _array(y)).astype(bool)),
}

for _name in ("add", "sub", "mul", "truediv", "pow", "neg", "abs", "gt", "lt", "ge", "le", "eq", "ne", "matmul"):
    for _full in (f"__{_name}__", f"__r{_name}__", f"__i{_name}__"):
        setattr(Exact, _full, lambda self, *others, _full=_full: _call(_full, self, *others))
