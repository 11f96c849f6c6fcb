"""The stable spellings, as plain PyTorch: what is written into the graph is what these functions do.

Each is right in value and in the gradient that autograd makes of it, at the ends of the range and where the naive form
cancels. ``largest`` is subtracted as a constant: on paper the result does not depend on it, so it has no gradient.

References:
    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 2002, chapters 1 and 27.
    Maechler, Accurately computing log(1 - exp(-|a|)), 2012.
    Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, 2021.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import torch
from torch.nn import functional

from tessera import torch_internals

LN2 = math.log(2)


def _largest(x: Any, dims: tuple[int, ...]) -> Any:
    """The largest of ``x`` along ``dims``, as a constant; 0 where that is infinite."""
    largest = torch.amax(x.detach(), dims, keepdim=True)
    return torch.where(torch.isfinite(largest), largest, 0.0)


def below_largest(x: Any, dims: tuple[int, ...]) -> Any:
    """X - max(x)."""
    return x - _largest(x, dims)


def _log_or_empty(total: Any) -> Any:
    """The log of total, and -inf with gradient 0 where nothing was added up."""
    empty = total == 0
    return torch.where(empty, -math.inf, torch.log(torch.where(empty, 1.0, total)))


def sigmoid(x: Any) -> Any:
    """With the gradient s (1 - s) of both small factors as they are; torch's own takes 1 - s of a rounded s."""
    negative = x < 0
    small = torch.exp(torch.where(negative, x, -x))
    return torch.where(negative, small, 1.0) / (1 + small)


def tanh(x: Any) -> Any:
    """With a gradient that does not cancel where tanh is nearly 1."""
    negative = x < 0
    less = expm1(torch.where(negative, x, -x) * 2)
    found = -less / (2 + less)
    return torch.where(negative, -found, found)


def expm1(x: Any) -> Any:
    """With a gradient that does not cancel: torch's own adds 1 to what is nearly -1 below -17."""
    near = x > -1
    return torch.where(near, torch.expm1(torch.where(near, x, 0.0)), torch.exp(torch.where(near, -1.0, x)) - 1)


def log_sum_exp(x: Any, dims: tuple[int, ...]) -> Any:
    """The log of the sum of exp(x); -inf, with the gradient 0, where that is empty."""
    largest = _largest(x, dims)
    return _log_or_empty(torch.sum(torch.exp(x - largest), dims, keepdim=True)) + largest


def log_matmul_exp(a: Any, b: Any, small: bool) -> Any:
    """log(exp(a) @ exp(b)) of matrices; of large ones with no more than the largest of each row and column apart."""
    if small:
        return torch.squeeze(log_sum_exp(torch.unsqueeze(a, 2) + torch.unsqueeze(b, 0), (1,)), 1)
    rows, columns = _largest(a, (1,)), _largest(b, (0,))
    return _log_or_empty(torch.matmul(torch.exp(a - rows), torch.exp(b - columns))) + rows + columns


def log_mean_exp(x: Any, dims: tuple[int, ...]) -> Any:
    """The same of the mean."""
    largest = _largest(x, dims)
    return _log_or_empty(torch.mean(torch.exp(x - largest), dims, keepdim=True)) + largest


def log_sum_weighted_exp(x: Any, weight: Any, dims: tuple[int, ...]) -> Any:
    """log(sum(weight exp(x))), for weights of any sign."""
    each, largest = _weighted_exp(x, weight, dims)
    return torch.log(torch.sum(each, dims, keepdim=True)) + largest


def log_mean_weighted_exp(x: Any, weight: Any, dims: tuple[int, ...]) -> Any:
    """The same of the mean."""
    each, largest = _weighted_exp(x, weight, dims)
    return torch.log(torch.mean(each, dims, keepdim=True)) + largest


def _weighted_exp(x: Any, weight: Any, dims: tuple[int, ...]) -> tuple[Any, Any]:
    """Weight * exp(x - m) and m, the largest x that has a weight; what has none may be far above it."""
    largest = _largest(torch.where(weight == 0, -math.inf, x), dims)
    below = x - largest
    beyond = torch.isinf(torch.exp(below.detach()))
    return weight * torch.exp(torch.where(beyond, 0.0, below)), largest


def log_add_exp(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b))."""
    high, low = torch.maximum(a, b), torch.minimum(a, b)
    gap = torch.where(high == low, 0.0, high - low)  # infinities of one sign have no difference
    return high - functional.logsigmoid(gap)


def log_add_weighted_exp(*weights_and_logs: Any) -> Any:
    """log(a exp(x) + b exp(y) + ...), called with (a, b, ..., x, y, ...)."""
    count = len(weights_and_logs) // 2
    weights, logs = weights_and_logs[:count], weights_and_logs[count:]
    largest: Any = -math.inf
    for weight, log in zip(weights, logs, strict=True):
        least = torch.where(weight == 0, -math.inf, log.detach()) if not isinstance(weight, float) else log.detach()
        largest = torch.maximum(least, largest) if not isinstance(largest, float) else least
    largest = torch.where(torch.isfinite(largest), largest, 0.0)
    total: Any = 0.0
    for weight, log in zip(weights, logs, strict=True):
        beyond = torch.isinf(torch.exp(log.detach() - largest))
        total = total + weight * torch.exp(torch.where(beyond, 0.0, log - largest))
    return torch.log(total) + largest


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without the threshold of torch.nn.functional.softplus."""
    return -functional.logsigmoid(-x)


def log_cumsum_exp(x: Any, dim: int) -> Any:
    """log(cumsum(exp(x)))."""
    return torch.logcumsumexp(x, dim)


def mixture(first: Any, second: Any, a: float, b: float) -> Any:
    """A mean of two numbers, where the weights add up to 1."""
    return a * first + b * second


def sech_squared(x: Any) -> Any:
    """1 - tanh(x)^2."""
    near = torch.abs(x) < 0.5
    inner = torch.tanh(torch.where(near, x, 0.0))
    small = torch.exp(-2 * torch.abs(torch.where(near, 1.0, x)))
    return torch.where(near, 1 - inner * inner, 4 * small / torch.square(1 + small))


def log_one_minus_exp(x: Any) -> Any:
    """log(1 - exp(x)) for x <= 0."""
    near = x > -LN2
    close = torch.log(-torch.expm1(torch.where(near, x, -1.0)))
    return torch.where(near, close, torch.log1p(-torch.exp(torch.where(near, -1.0, x))))


def log_exp_minus_one(x: Any) -> Any:
    """log(exp(x) - 1) for x >= 0."""
    return x + log_one_minus_exp(-x)


def elu_plus_one(x: Any) -> Any:
    """elu(x) + 1."""
    above = x > 0
    return torch.where(above, x + 1, torch.exp(torch.where(above, 0.0, x)))


def one_minus_exp(x: Any) -> Any:
    """1 - exp(x)."""
    return -expm1(x)


def log_cosh(x: Any) -> Any:
    """log(cosh(x))."""
    near = torch.abs(x) < 1
    half = torch.sinh(torch.where(near, x, 0.5) * 0.5)
    far = torch.where(near, 1.0, x)
    size = torch.abs(far)
    return torch.where(near, torch.log1p(2 * half * half), size + torch.log1p(torch.exp(-2 * size)) - LN2)


def softmax(x: Any, dims: tuple[int, ...]) -> Any:
    """The softmax over some dimensions, with the gradient of torch's own."""
    if len(dims) == 1:
        return torch.softmax(x, dims[0])
    each = torch.exp(x - _largest(x, dims))
    return each / torch.sum(each, dims, keepdim=True)


def sharp_softmax(x: Any, dims: tuple[int, ...]) -> Any:
    """The softmax, whose gradient keeps its digits where one number is nearly 1; see ``peak``."""
    each = torch.exp(x - peak(x, 1.0, dims))
    return each / torch.sum(each, dims, keepdim=True)


def share(at: int, weights: tuple[float, ...], *exponents: Any) -> Any:
    """exp(x) / (a exp(x) + b exp(y) + ...), where x is the one ``at`` a place; a number is an exponent too."""
    tensors = [x for x in exponents if not isinstance(x, float)]
    largest = functools.reduce(torch.maximum, [x.detach() for x in tensors])
    if len(tensors) < len(exponents):
        largest = torch.clamp(largest, min=0.0)
    each = [torch.exp(x - largest) for x in exponents]
    return each[at] / functools.reduce(operator.add, [one * weight for one, weight in zip(each, weights, strict=True)])


def peak(*parts: Any) -> Any:
    """The largest x that has a weight, of (x, its weight, the dimensions it is summed over), ...

    Over one dimension it is no constant to autograd, though on paper its gradient is 0: where one exponential is nearly
    all of a sum, its own gradient is what a difference leaves, and that of the largest takes the rounding away. Over
    several that would be another pass through memory.
    """
    found: list[Any] = []
    for x, weight, dims in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if isinstance(x, float):
            continue
        least = x if isinstance(weight, float) else torch.where(weight.detach() == 0, -math.inf, x)
        least = least.detach() if len(dims) > 1 else least
        found.append(torch.amax(least, dims, keepdim=True) if dims else least)
    largest = functools.reduce(torch.maximum, found)
    largest = torch.clamp(largest, min=0.0) if 3 * len(found) < len(parts) else largest
    return torch.where(torch.isfinite(largest), largest, 0.0)


def exp_below(x: Any, largest: Any) -> Any:
    """exp(x - largest), and 1 where that is infinite, as it may be for an x that has no weight."""
    below = x - largest
    return torch.exp(torch.where(torch.isinf(torch.exp(below.detach())), 0.0, below))


def weighted_softmax(x: Any, weight: Any, dims: tuple[int, ...]) -> Any:
    """The softmax of weighted numbers: weight exp(x) / sum(weight exp(x)); zeros where no number has a weight."""
    each = weight * exp_below(x, peak(x, weight, dims))
    nothing = torch.all(weight.expand_as(each) == 0, dims[0], keepdim=True) if len(dims) == 1 else None
    total = torch.sum(each, dims, keepdim=True)
    return each / (total if nothing is None else torch.where(nothing, 1.0, total))


def log_softmax(x: Any, dims: tuple[int, ...]) -> Any:
    """The logarithm of the softmax: x - log(sum(exp(x)))."""
    if len(dims) == 1:
        return torch.log_softmax(x, dims[0])
    shifted = x - _largest(x, dims)
    return shifted - torch.log(torch.sum(torch.exp(shifted), dims, keepdim=True))


def safe_softmax(x: Any, dims: tuple[int, ...]) -> Any:
    """Zeros where all of a row is masked by -inf, as torch's attention has it."""
    masked = torch.all(x == -math.inf, dims[0], keepdim=True)
    return torch.where(masked, 0.0, torch.softmax(torch.where(masked, 0.0, x), dims[0]))


def kept(x: Any, weight: Any) -> Any:
    """What a logarithm is taken of, and 1 where that is 0 and its weight is 0 too."""
    return torch.where((weight == 0) & (x == 0), 1.0, x)


def kl_of_logarithms(log_q: Any, log_p: Any, reduction: str) -> Any:
    """The Kullback-Leibler divergence sum(p (log p - log q)), with nothing where p is 0."""
    empty = log_p == -math.inf
    log_p = torch.where(empty, 0.0, log_p)
    each = torch.where(empty, 0.0, torch.exp(log_p) * (log_p - log_q))
    if reduction == "batchmean":
        return torch.sum(each) / each.shape[0]
    return each if reduction == "none" else getattr(torch, reduction)(each)


def bce_of_logits(x: Any, target: Any, weight: Any, reduction: str) -> Any:
    """The binary cross-entropy of sigmoid(x); its gradient does not cancel where that is nearly 1, as torch's does."""
    torch_internals.assert_probabilities(target, "all elements of target should be between 0 and 1")
    each = -(target * functional.logsigmoid(x) + (1 - target) * functional.logsigmoid(-x))
    each = each if weight is None else each * weight
    return each if reduction == "none" else getattr(torch, reduction)(each)


def _unit(size: Any) -> Any:
    """``size`` where it can be divided by, else 1."""
    usable = (size > 0) & torch.isfinite(size)
    return torch.where(usable, size, 1.0)


def _root(squares: Any) -> tuple[Any, Any]:
    """Of squares the root, and 0 with gradient 0 at 0; and sqrt(squares), 1 at 0."""
    empty = squares == 0
    root = torch.sqrt(torch.where(empty, 1.0, squares))
    return torch.where(empty, 0.0, root), root


def norm(x: Any, dims: tuple[int, ...]) -> Any:
    """The length of x."""
    unit = _unit(torch.amax(torch.abs(x.detach()), dims, keepdim=True))
    return _root(torch.sum(torch.square(x / unit), dims, keepdim=True))[0] * unit


def root_mean_square(x: Any, dims: tuple[int, ...]) -> Any:
    """sqrt(mean(x^2))."""
    unit = _unit(torch.amax(torch.abs(x.detach()), dims, keepdim=True))
    return _root(torch.mean(torch.square(x / unit), dims, keepdim=True))[0] * unit


def power_norm(x: Any, dims: tuple[int, ...], power: float) -> Any:
    """sum(x ** power) ** (1 / power)."""
    unit = _unit(torch.amax(torch.abs(x.detach()), dims, keepdim=True))
    return _power_root(torch.sum(torch.pow(x / unit, power), dims, keepdim=True), power) * unit


def power_mean(x: Any, dims: tuple[int, ...], power: float) -> Any:
    """mean(x ** power) ** (1 / power)."""
    unit = _unit(torch.amax(torch.abs(x.detach()), dims, keepdim=True))
    return _power_root(torch.mean(torch.pow(x / unit, power), dims, keepdim=True), power) * unit


def _power_root(total: Any, power: float) -> Any:
    """Total ** (1 / power), and 0 with gradient 0 at 0."""
    empty = total == 0
    return torch.where(empty, 0.0, torch.pow(torch.where(empty, 1.0, total), 1 / power))


def hypot(*values: Any) -> Any:
    """sqrt(x^2 + y^2 + ...) of tensors and, behind them, a number."""
    unit = torch.abs(values[0].detach())
    for value in values[1:]:
        unit = torch.maximum(unit, torch.abs(value.detach())) if not isinstance(value, float) else unit.clamp(min=value)
    unit = _unit(unit)
    squares = torch.square(values[0] / unit)
    for value in values[1:]:
        squares = squares + torch.square(value / unit)
    return _root(squares)[0] * unit


def normalise(x: Any, dims: tuple[int, ...]) -> Any:
    """The direction: x / norm(x), and 0 for 0."""
    scaled = x / _unit(torch.amax(torch.abs(x.detach()), dims, keepdim=True))
    return scaled / _root(torch.sum(torch.square(scaled), dims, keepdim=True))[1]


def normalise_by_mean(x: Any, dims: tuple[int, ...]) -> Any:
    """The same with the mean: x / root_mean_square(x), and 0 for 0."""
    scaled = x / _unit(torch.amax(torch.abs(x.detach()), dims, keepdim=True))
    return scaled / _root(torch.mean(torch.square(scaled), dims, keepdim=True))[1]


def cosine(a: Any, of_a: tuple[int, ...], b: Any, of_b: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    """The cosine of the angle between a and b; 0 where one is 0."""
    return torch.sum(normalise(a, of_a) * normalise(b, of_b), dims, keepdim=True)


def variance(x: Any, dims: tuple[int, ...]) -> Any:
    """mean((x - mean(x))^2)."""
    return torch.mean(torch.square(x - torch.mean(x, dims, keepdim=True)), dims, keepdim=True)


def covariance(x: Any, y: Any, dims: tuple[int, ...]) -> Any:
    """mean((x - mean(x)) (y - mean(y)))."""
    x, y = (each - torch.mean(each, dims, keepdim=True) for each in (x, y))
    return torch.mean(x * y, dims, keepdim=True)


def weighted_covariance(weight: Any, x: Any, y: Any, dims: tuple[int, ...]) -> Any:
    """sum(weight (x - m) (y - n)), where m = sum(weight x) and n = sum(weight y), and the weights add up to 1."""
    x, y = (each - torch.sum(weight * each, dims, keepdim=True) for each in (x, y))
    return torch.sum(weight * x * y, dims, keepdim=True)


def central_moment(x: Any, dims: tuple[int, ...], order: int) -> Any:
    """mean((x - mean(x)) ** order); the mean of what is left takes the rounding of the mean away."""
    centred = x - torch.mean(x, dims, keepdim=True)
    centred = centred - torch.mean(centred, dims, keepdim=True)
    return torch.mean(torch.pow(centred, order), dims, keepdim=True)


def deviations(*values: Any) -> Any:
    """The sum of (x - m)^2, where m is the mean of the values."""
    mean = functools.reduce(operator.add, values) / len(values)
    return functools.reduce(operator.add, [torch.square(value - mean) for value in values])


def squared_deviations(x: Any, dims: tuple[int, ...]) -> Any:
    """sum((x - mean(x))^2)."""
    return torch.sum(torch.square(x - torch.mean(x, dims, keepdim=True)), dims, keepdim=True)


def difference_of_squares(a: Any, b: Any) -> Any:
    """a^2 - b^2; by factors only where it cancels, for far from there their gradient would, or where both overflow."""
    size = abs(b) if isinstance(b, float) else torch.abs(b)
    near = torch.abs(torch.abs(a) - size) < 0.5 * size
    apart = a * a - b * b
    return torch.where(near | torch.isnan(apart), (a - b) * (a + b), apart)


def square_over(x: Any, y: Any) -> Any:
    """x^2 / y."""
    return x * (x / y)


def log1p_of_square(x: Any) -> Any:
    """log(1 + x^2)."""
    near = torch.abs(x) < 16  # whose square is finite in every dtype
    close = torch.where(near, x, 0.0)
    far = torch.where(near, 16.0, torch.abs(x))
    inverse = 1 / far
    return torch.where(near, torch.log1p(close * close), 2 * torch.log(far) + torch.log1p(inverse * inverse))


def root_minus(root: Any, x: Any, difference: Any) -> Any:
    """Root - x, where difference = root^2 - x^2."""
    above = x > 0
    return torch.where(above, difference / (root + torch.where(above, x, 1.0)), root - x)


def log_ratio(difference: Any, b: Any) -> Any:
    """log(a) - log(b), where difference = a - b."""
    usable = b > 0
    ratio = torch.log1p(difference / torch.where(usable, b, 1.0))
    return torch.where(usable, ratio, torch.where(b == 0, math.inf, math.nan))


def atanh(x: Any) -> Any:
    """log((1 + x) / (1 - x)) / 2."""
    return 0.5 * (torch.log1p(x) - torch.log1p(-x))


def asinh(x: Any) -> Any:
    """log(x + sqrt(x^2 + 1))."""
    negative = x < 0
    size = torch.where(negative, -x, x)
    far = size > 1e9  # where asinh(x) is log(2 x) to the last place
    near = torch.where(far, 1.0, size)
    root = torch.sqrt(1 + near * near)
    found = torch.where(
        far, torch.log(torch.where(far, size, 1.0)) + LN2, torch.log1p(near + near * (near / (1 + root)))
    )
    return torch.where(negative, -found, found)


def acosh(x: Any) -> Any:
    """log(x + sqrt(x^2 - 1))."""
    above = x - 1
    return torch.log1p(above + torch.sqrt(above) * torch.sqrt(x + 1))


def acosh_of_one_plus(x: Any) -> Any:
    """acosh(1 + x)."""
    return torch.log1p(x + torch.sqrt(x) * torch.sqrt(x + 2))


def logit(p: Any) -> Any:
    """log(p / (1 - p))."""
    near = torch.abs(p - 0.5) < 0.25
    inner, outer = torch.where(near, p, 0.5), torch.where(near, 0.25, p)
    return torch.where(near, torch.log1p((2 * inner - 1) / (1 - inner)), torch.log(outer) - torch.log1p(-outer))


def log_abs_det(x: Any) -> Any:
    """log(abs(det(x)))."""
    return torch.linalg.slogdet(x)[1]


def log_det(x: Any) -> Any:
    """log(det(x))."""
    return torch.logdet(x)


def drawn(x: Any, least: float) -> Any:
    """A uniform draw; its 0 stands for what lies between 0 and the next number it can be."""
    return torch.clamp(x, min=least)
