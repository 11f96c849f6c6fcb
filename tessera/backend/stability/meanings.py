"""What each of torch's functions is in the algebra; a function that is not here makes a leaf."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.stability.algebra import Algebra, Value, scaled
from tessera.backend.stability.facts import is_nonnegative
from tessera.backend.stability.spelling import Call, Movement, call_of, example

if TYPE_CHECKING:
    from tessera.backend.stability.reading import Reader

UNARY = ("exp", "sigmoid", "tanh", "sin", "cos", "cosh", "sinh", "erf", "erfc", "log", "abs")  # on each element

DEEPEST = 6  # parts of parts that are looked at

Meaning = Callable[["Reader", Call], Value | None]
MEANINGS: dict[str, Meaning] = {}


def _means(*names: str) -> Callable[[Meaning], Meaning]:
    def keep(meaning: Meaning) -> Meaning:
        MEANINGS.update(dict.fromkeys(names, meaning))
        return meaning

    return keep


def _unary(build: Callable[[Algebra, Value], Value]) -> Meaning:
    def mean(reader: Reader, call: Call) -> Value | None:
        if len(call.args) != 1 or call.kwargs:
            return None
        return reader.elementwise(lambda x: build(reader.algebra, x), call.args[0])

    return mean


def _exp(algebra: Algebra, x: Value) -> Value:
    if x.op == "log" and x.args[0].op not in ("softmax", "sigmoid") and not _adds_exponentials(x.args[0]):
        algebra.note((x,))  # there and back: the rounding is what is wanted
    return algebra.make("exp", x)


def _adds_exponentials(value: Value, depth: int = 0) -> bool:
    """Whether it is a sum of exponentials, so that its logarithm is a step of a recursion."""
    if value.op == "exp":
        return depth > 0
    if depth > DEEPEST or value.op in ("leaf", "number"):
        return False
    return any(_adds_exponentials(part, depth + 1) for part in value.parts())


def _log(algebra: Algebra, x: Value, base: float = math.e) -> Value:
    if x.number is not None and x.number > 0:
        return algebra.number(math.log(x.number, base))
    if x.op == "exp" and x.node is not None and len(x.node.users) > 1:
        algebra.note((x,))  # the logarithm of what was rounded, to know how it was
    return algebra.scale(algebra.make("log", x), 1 / math.log(base))


def _normal_distribution(algebra: Algebra, x: Value) -> Value:
    return algebra.scale(algebra.make("erfc", algebra.scale(x, -math.sqrt(0.5))), 0.5)


def _itself(name: str) -> Meaning:
    return _unary(lambda algebra, x: algebra.make(name, x))


MEANINGS |= {name: _itself(name) for name in (*UNARY, "relu")} | {
    "exp": _unary(_exp),
    "abs": _unary(lambda algebra, x: x if is_nonnegative(x) else algebra.make("abs", x)),
    "exp2": _unary(lambda algebra, x: _exp(algebra, algebra.scale(x, math.log(2)))),
    "expm1": _unary(lambda algebra, x: algebra.add((1.0, algebra.make("exp", x)), (-1.0, algebra.number(1)))),
    "log": _unary(_log),
    "log2": _unary(lambda algebra, x: _log(algebra, x, 2)),
    "log10": _unary(lambda algebra, x: _log(algebra, x, 10)),
    "log1p": _unary(lambda algebra, x: _log(algebra, algebra.add((1.0, x), (1.0, algebra.number(1))))),
    "logsigmoid": _unary(lambda algebra, x: algebra.make("log", algebra.make("sigmoid", x))),
    "neg": _unary(lambda algebra, x: algebra.negative(x)),
    "positive": _unary(lambda _, x: x),
    "square": _unary(lambda algebra, x: algebra.power(x, 2)),
    "sqrt": _unary(lambda algebra, x: algebra.power(x, 0.5)),
    "rsqrt": _unary(lambda algebra, x: algebra.power(x, -0.5)),
    "acosh": _itself("acosh"),
    "arccosh": _itself("acosh"),
    "i0": _itself("i0"),
    "ndtr": _unary(_normal_distribution),
    "reciprocal": _unary(lambda algebra, x: algebra.power(x, -1)),
}


@_means("elu")
def _elu(reader: Reader, call: Call) -> Value | None:
    if len(call.args) > 2 or call.get(1, "alpha", 1.0) != 1 or call.kwargs.keys() - {"alpha"}:
        return None
    return reader.elementwise(lambda x: reader.algebra.make("elu", x), call.args[0])


@_means("add", "sub")
def _add(reader: Reader, call: Call) -> Value | None:
    alpha = call.kwargs.get("alpha", 1)
    if len(call.args) != 2 or not isinstance(alpha, int | float):
        return None
    factor = float(alpha) if call.name == "add" else -float(alpha)
    return reader.elementwise(lambda x, y: reader.algebra.add((1.0, x), (factor, y)), *call.args)


@_means("mul", "div")
def _multiply(reader: Reader, call: Call) -> Value | None:
    if len(call.args) != 2 or call.kwargs.get("rounding_mode") is not None:
        return None
    x, y = call.args
    algebra = reader.algebra
    if (mean := _mean_of_sum(reader, call)) is not None:
        return mean
    if call.name == "mul":
        return reader.elementwise(algebra.times, x, y)
    if isinstance(y, int | float):
        return reader.elementwise(lambda v: algebra.scale(v, 1 / y), x) if y else None
    return reader.elementwise(algebra.divide, x, y)


def _mean_of_sum(reader: Reader, call: Call) -> Value | None:
    """``sum(x) / n``, where ``n`` is how many there are."""
    total, count = call.args
    divides = call.name == "div"
    if not divides and isinstance(total, int | float):
        total, count = count, total
    value = reader.operand(total) if isinstance(total, fx.Node) else None
    if value is None:
        return None
    inner, dims = (value.args[0], value.args[1]) if value.op == "squeeze" else (value, None)
    factor, sum_ = scaled(inner)
    if sum_.op != "sum" or sum_.args[0].shape is None:
        return None
    sizes = [sum_.args[0].shape[d] for d in sum_.args[1]]
    size = math.prod(sizes)
    if divides and not isinstance(count, float):
        same = torch_internals.same_shape([size], [example(count) if isinstance(count, fx.Node) else count])
    else:
        same = (
            isinstance(size, int)
            and isinstance(count, float)
            and (count == size if divides else abs(count * size - 1) < 1e-12)
        )
    if not same:
        return None
    mean = reader.algebra.make("mean", *sum_.args)
    mean.shape = sum_.shape
    mean = reader.algebra.scale(mean, factor)
    return mean if dims is None else reader.algebra.make("squeeze", mean, dims)


@_means("pow")
def _power(reader: Reader, call: Call) -> Value | None:
    base, exponent = call.get(0, "input"), call.get(1, "exponent")
    if isinstance(exponent, int | float) and not isinstance(exponent, bool) and math.isfinite(exponent):
        return reader.elementwise(lambda x: reader.algebra.power(x, float(exponent)), base)
    if isinstance(base, int | float) and base > 0:
        return reader.elementwise(lambda x: _exp(reader.algebra, reader.algebra.scale(x, math.log(base))), exponent)
    if isinstance(base, fx.Node) and isinstance(exponent, fx.Node):
        return reader.elementwise(lambda x, y: reader.algebra.make("power", x, y), base, exponent)
    return None


@_means("xlogy", "entr")
def _weighted_log(reader: Reader, call: Call) -> Value | None:
    operands = call.args if call.name == "xlogy" else call.args * 2
    if len(operands) != 2 or call.kwargs:
        return None
    algebra, sign = reader.algebra, 1.0 if call.name == "xlogy" else -1.0
    return reader.elementwise(lambda x, y: algebra.scale(algebra.make("xlogy", x, y), sign), *operands)


@_means("addcmul", "addcdiv")
def _add_product(reader: Reader, call: Call) -> Value | None:
    value = call.kwargs.get("value", 1)
    if len(call.args) != 3 or not isinstance(value, int | float):
        return None
    algebra = reader.algebra
    combine = algebra.times if call.name == "addcmul" else algebra.divide
    return reader.elementwise(lambda x, a, b: algebra.add((1.0, x), (float(value), combine(a, b))), *call.args)


@_means("sum", "mean", "prod", "amax", "amin")
def _reduce(reader: Reader, call: Call) -> Value | None:
    dim, keepdim = call.get(1, "dim"), call.get(2, "keepdim", False)
    if isinstance(dim, torch.dtype):
        return None
    return reader.reduced(call.name, _cast_first(call), dim, keepdim)


def _cast_first(call: Call) -> Any:
    """The operand, unless the call is to compute in another dtype."""
    dtype, tensor = call.kwargs.get("dtype"), example(call.args[0])
    return call.args[0] if dtype is None or (isinstance(tensor, Tensor) and tensor.dtype is dtype) else None


@_means("max", "min")
def _largest(reader: Reader, call: Call) -> Value | None:
    if len(call.args) == 1 and not call.kwargs:
        return reader.reduced(f"a{call.name}", call.args[0], None, False)
    return None


@_means("getitem")
def _item(reader: Reader, call: Call) -> Value | None:
    source, index = call.args
    made = call_of(source) if isinstance(source, fx.Node) else None
    if made is not None and made.name in ("max", "min") and index == 0 and not isinstance(example(source), Tensor):
        return reader.reduced(f"a{made.name}", made.args[0], made.get(1, "dim"), made.get(2, "keepdim", False))
    return reader.moved(call.node, source) if isinstance(example(source), Tensor) else None


@_means("getattr")
def _attribute(reader: Reader, call: Call) -> Value | None:
    source, name = call.args
    made = call_of(source) if isinstance(source, fx.Node) else None
    if made is not None and made.name in ("max", "min") and name == "values":
        return reader.reduced(f"a{made.name}", made.args[0], made.get(1, "dim"), made.get(2, "keepdim", False))
    return reader.moved(call.node, source) if name in ("T", "mT") else None


@_means("softmax", "softmin", "log_softmax")
def _softmax(reader: Reader, call: Call) -> Value | None:
    value, dim = reader.operand(call.args[0]), call.get(1, "dim")
    positional = call.args[2:]
    if value is None or not isinstance(dim, int) or (positional and positional != (3,)):
        return None
    dtype, tensor = call.kwargs.get("dtype"), example(call.args[0])
    if dtype is not None and dtype is not tensor.dtype:
        value = reader.algebra.make("cast", value, dtype)
    if call.name == "log_softmax":
        return None
    value = reader.algebra.negative(value) if call.name == "softmin" else value
    return reader.algebra.make("softmax", value, (dim % max(1, tensor.dim()),))


@_means("cumsum", "cumprod")
def _cumulate(reader: Reader, call: Call) -> Value | None:
    value, dim, tensor = reader.operand(_cast_first(call)), call.get(1, "dim"), example(call.args[0])
    if value is None or not isinstance(dim, int) or value.op == "squeeze" or tensor.dim() == 0:
        return None
    return reader.algebra.make(call.name, value, dim % tensor.dim())


@_means("det")
def _determinant(reader: Reader, call: Call) -> Value | None:
    value = reader.operand(call.args[0] if call.args else call.kwargs.get("A"))
    return None if value is None else reader.algebra.make("det", value)


@_means("matmul", "mm")
def _matmul(reader: Reader, call: Call) -> Value | None:
    """Of matrices; of vectors see ``_dot``."""
    x, y = map(example, call.args[:2])
    operands = [reader.operand(argument) for argument in call.args]
    if len(operands) != 2 or None in operands or not (isinstance(x, Tensor) and isinstance(y, Tensor)) or call.kwargs:
        return None
    if x.dim() == y.dim() == 1:
        return _dot(reader, call)
    if y.dim() == 1:
        return _matrix_by_vector(reader, call)
    return reader.algebra.make("matmul", *operands) if x.dim() == y.dim() == 2 else None


@_means("mv")
def _matrix_by_vector(reader: Reader, call: Call) -> Value | None:
    """Rows times a vector, added up."""
    x, y = map(example, call.args[:2])
    product = reader.elementwise(reader.algebra.times, *call.args[:2])
    if product is None or product.op == "squeeze" or x.dtype is not y.dtype:
        return None
    factor, product = scaled(product)
    product.shape = product.shape or x.shape
    total = reader.algebra.make("sum", product, (x.dim() - 1,))
    total.shape = total.shape or (*x.shape[:-1], 1)
    return reader.algebra.make("squeeze", reader.algebra.scale(total, factor), (x.dim() - 1,))


@_means("dot", "vdot", "inner", "linalg_vecdot")
def _dot(reader: Reader, call: Call) -> Value | None:
    x, y = map(example, call.args[:2])
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)) or x.dtype is not y.dtype or len(call.args) != 2:
        return None
    if call.kwargs or (call.name != "linalg_vecdot" and (x.dim() != 1 or y.dim() != 1)):
        return None
    product = reader.elementwise(reader.algebra.times, *call.args)
    if product is None or product.op == "squeeze":
        return None
    factor, product = scaled(product)
    rank = max(x.dim(), y.dim())
    total = reader.algebra.scale(reader.algebra.make("sum", product, (rank - 1,)), factor)
    return reader.algebra.make("squeeze", total, (rank - 1,))


@_means("einsum")
def _einsum(reader: Reader, call: Call) -> Value | None:
    """A sum of products of operands whose letters stand as they meet: ``"bi,i->b"``, and no product of matrices."""
    if len(call.args) not in (2, 3) or call.kwargs or not isinstance(call.args[0], str):
        return None
    spelled, arrow, left = call.args[0].replace(" ", "").partition("->")
    letters, operands = spelled.split(","), call.args[1:]
    every = max(letters, key=len)
    summed = tuple(at for at, letter in enumerate(every) if letter not in left)
    if not arrow or len(letters) != len(operands) or len(set(every)) < len(every) or not every.isalpha():
        return None
    if not all(every.endswith(one) and one for one in letters) or left != "".join(c for c in every if c in left):
        return None
    if not summed or len({example(one).dtype for one in operands}) > 1:
        return None
    product = reader.elementwise(reader.algebra.times, *operands) if len(operands) > 1 else reader.operand(operands[0])
    if product is None or product.op == "squeeze":
        return None
    factor, product = scaled(product)
    sizes = example(operands[letters.index(every)]).shape
    product.shape = product.shape or sizes
    total = reader.algebra.make("sum", product, summed)
    total.shape = total.shape or tuple(1 if at in summed else size for at, size in enumerate(sizes))
    return reader.algebra.make("squeeze", reader.algebra.scale(total, factor), summed)


@_means("norm", "vector_norm", "linalg_norm")
def _norm(reader: Reader, call: Call) -> Value | None:
    p, dim, keepdim = (
        call.get(1, "p" if call.name == "norm" else "ord"),
        call.get(2, "dim"),
        call.get(3, "keepdim", False),
    )
    if call.kwargs.get("dtype") is not None or len(call.args) > 4 or p not in (None, 2, 2.0, "fro"):
        return None
    rank = example(call.args[0]).dim()
    several = dim is None or (isinstance(dim, list | tuple) and len(dim) != 1)
    if call.name == "linalg_norm" and ((several and p is not None) or (dim is not None and several)):
        return None  # that of a matrix
    return reader.reduced("norm", call.args[0], dim, keepdim) if rank else None


@_means("mse_loss")
def _mse(reader: Reader, call: Call) -> Value | None:
    if len(call.args) != 2 or call.kwargs.get("reduction", "mean") != "mean" or set(call.kwargs) - {"reduction"}:
        return None
    x, y = map(example, call.args)
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)) or not torch_internals.same_shape(x.shape, y.shape):
        return None
    algebra = reader.algebra
    squares = reader.elementwise(lambda a, b: algebra.power(algebra.minus(a, b), 2), *call.args)
    if squares is None or squares.op == "squeeze" or x.dim() == 0:
        return None
    dims = tuple(range(x.dim()))
    return algebra.make("squeeze", algebra.make("mean", squares, dims), dims)


@_means("binary_cross_entropy")
def _binary_cross_entropy(reader: Reader, call: Call) -> Value | None:
    reduction = call.kwargs.get("reduction", "mean")
    weight = call.get(2, "weight")
    if len(call.args) > 3 or call.kwargs.get("size_average") is not None or call.kwargs.get("reduce") is not None:
        return None
    operands = [reader.operand(argument) for argument in call.args[:2]]
    if len(operands) < 2 or None in operands:
        return None
    given = None if weight is None else reader.operand(weight)
    return reader.algebra.make("bce", *operands, given, reduction)


@_means("kl_div")
def _kl(reader: Reader, call: Call) -> Value | None:
    reduction = call.kwargs.get("reduction", "mean")
    if len(call.args) != 2 or call.kwargs.get("log_target") or call.kwargs.get("size_average") is not None:
        return None
    if call.kwargs.get("reduce") is not None:
        return None
    x, y = map(example, call.args)
    operands = [reader.operand(argument) for argument in call.args]
    if None in operands or not isinstance(y, Tensor) or not torch_internals.same_shape(x.shape, y.shape):
        return None
    return reader.algebra.make("kl", *operands, reduction)


@_means("where")
def _where(reader: Reader, call: Call) -> Value | None:
    if len(call.args) != 3:
        return None
    return _selected(reader, *call.args)


@_means("masked_fill")
def _filled(reader: Reader, call: Call) -> Value | None:
    if len(call.args) != 3:
        return None
    x, mask, value = call.args
    return _selected(reader, mask, value, x)


def _selected(reader: Reader, *arguments: Any) -> Value | None:
    operands = [reader.operand(argument) for argument in arguments]
    if None in operands:
        return None
    return reader.algebra.make("where", *operands)


@_means("clone", "contiguous", "alias")
def _copied(reader: Reader, call: Call) -> Value | None:
    return reader.operand(call.args[0])


@_means("detach")
def _detached(reader: Reader, call: Call) -> Value | None:
    value = reader.operand(call.args[0])
    return None if value is None else reader.algebra.make("detach", value)


@_means("to", "float", "double", "half", "bfloat16", "type_as")
def _cast(reader: Reader, call: Call) -> Value | None:
    before, after = example(call.args[0]), example(call.node)
    value = reader.operand(call.args[0])
    if value is None or not isinstance(before, Tensor) or before.device != after.device:
        return None
    if before.dtype is after.dtype:
        return value
    if not before.is_floating_point():
        made = reader.algebra.leaf(call.node)
        made.facts["nonnegative"] = before.dtype in (torch.bool, torch.uint8)
        made.facts["truth"] = before.dtype is torch.bool
        return made
    return reader.algebra.make("cast", value, after.dtype)


@_means("ones_like", "zeros_like", "full_like", "ones", "zeros", "full", "tensor")
def _filled_with(reader: Reader, call: Call) -> Value | None:
    name = call.name.removesuffix("_like")
    value = {"ones": 1.0, "zeros": 0.0}.get(name)
    if value is None:
        value = call.get(0 if name == "tensor" else 1, "fill_value")
    return reader.algebra.number(value) if isinstance(value, int | float) else None


@_means("rand", "rand_like", "uniform")
def _drawn(reader: Reader, call: Call) -> Value | None:
    if call.name == "uniform" and (len(call.args) > 1 or call.kwargs):
        return None
    return reader.algebra.make("draw", reader.algebra.leaf(call.node))


@_means(
    *("view", "reshape", "flatten", "transpose", "permute", "t", "unsqueeze", "select", "narrow", "gather"),
    *("index_select", "take_along_dim", "flip", "roll", "movedim", "unflatten", "view_as", "reshape_as", "repeat"),
    *("diagonal", "take", "masked_select"),
)
def _moved(reader: Reader, call: Call) -> Value | None:
    return reader.moved(call.node, call.args[0]) if isinstance(call.args[0], fx.Node) else None


@_means("expand", "expand_as", "broadcast_to")
def _expanded(reader: Reader, call: Call) -> Value | None:
    value, tensor = reader.operand(call.args[0]), example(call.node)
    if value is not None and value.op != "squeeze" and reader.rank(value) == tensor.dim():
        return reader.algebra.make("expand", value, Movement(call.node))
    return reader.moved(call.node, call.args[0])


@_means("squeeze")
def _squeezed(reader: Reader, call: Call) -> Value | None:
    source, dim = example(call.args[0]), call.get(1, "dim")
    value = reader.operand(call.args[0])
    if value is None or not isinstance(source, Tensor) or value.op == "squeeze" or value.number is not None:
        return reader.moved(call.node, call.args[0])
    wanted = range(source.dim()) if dim is None else dim if isinstance(dim, list | tuple) else [dim]
    sizes = source.shape
    dims = tuple(sorted(d % source.dim() for d in wanted if isinstance(sizes[d], int) and sizes[d] == 1))
    if (
        not dims
        or example(call.node).dim() != source.dim() - len(dims)
        or value.op not in ("sum", "mean", "product", "linear")
    ):
        return reader.moved(call.node, call.args[0])
    return reader.algebra.make("squeeze", value, dims)
